"""A rerun: the results that it takes over from the run before it, and the steps that it does again. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from gamekeeper.domain.language.expressions import find_expressions, reads_args
from gamekeeper.domain.language.graph import Ancestors
from gamekeeper.domain.language.problem import did_you_mean
from gamekeeper.domain.language.resolved import ResolvedPipeline, ResolvedStep
from gamekeeper.domain.language.step import Lifetime
from gamekeeper.domain.run.step import StepStatus, ended_well
from gamekeeper.errors import InvalidError

FAILED = "failed"
ALL = "all"


def changed_steps(before: ResolvedPipeline, now: ResolvedPipeline) -> set[str]:
    """The steps that other arguments make different: their settings, or an argument that they read while they run.

    Both are the same pipeline, resolved for the same run.
    """
    older = {step.name: step for step in before.steps}
    other_args = {name for name, value in now.args.items() if value != before.args.get(name)}
    if not other_args and before.envs == now.envs:
        return set()
    read = other_args | {"*"}
    return {step.name for step in now.steps if step != older.get(step.name) or _args_read(step) & read}


def _args_read(step: ResolvedStep) -> set[str]:
    """The arguments that a step reads while its run goes on: in its condition, and in templates that wait for steps."""
    texts = [step.if_] if step.if_ else []
    for text in _strings(step.model_dump(exclude={"if_", "name", "needs"}, exclude_unset=True)):
        texts.extend(find_expressions(text))
    return {name for text in texts for name in reads_args(text)}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def steps_to_carry(
    pipeline: ResolvedPipeline, ended: Mapping[str, StepStatus], start: str, changed: Collection[str] = ()
) -> set[str]:
    """The steps whose results stand. ``start`` is ``failed``, ``all``, or the name of a step to begin at.

    A step that did not end well is done again in any case, and so is a ``changed`` one, with all that needs it; so is
    a service that stopped with its run and that something done again needs, and so are the finally steps. An approval
    was given for what came after it then: where that is ``changed``, it is asked for again, and so is a called
    pipeline, which may hold one. Raises InvalidError for an unknown step.
    """
    needs = {step.name: step.needs for step in pipeline.steps}
    if start == ALL:
        return set()
    above = Ancestors(needs)
    again = {name for name in needs if name in changed or not _stands(ended.get(name))}
    if start != FAILED:
        if start not in needs:
            raise InvalidError(f'there is no step "{start}" to begin at', hint=did_you_mean(start, needs))
        again.add(start)
    others = [above.of(name) for name in needs if name in changed or above.of(name) & set(changed)]
    asks = {step.name for step in pipeline.steps if step.approval is not None or step.call is not None}
    again |= asks & frozenset().union(*others)
    again |= {name for name in needs if above.of(name) & again}
    needed = {need for name in again for need in above.of(name)}
    services = {step.name for step in pipeline.steps if step.lifetime is Lifetime.RUN}
    return set(needs) - again - (services & needed)


def _stands(status: StepStatus | None) -> bool:
    return status is not None and ended_well(status.state, status.reason, False)
