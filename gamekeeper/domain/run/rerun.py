"""What a rerun takes from the run before it, and what it does again. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gamekeeper.domain.language.graph import ancestors
from gamekeeper.domain.language.pipeline import Lifetime
from gamekeeper.domain.language.problem import did_you_mean
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.run.step import StepStatus, ended_well
from gamekeeper.errors import InvalidError

FAILED = "failed"
ALL = "all"


def steps_to_carry(pipeline: ResolvedPipeline, ended: Mapping[str, StepStatus], start: str) -> set[str]:
    """The steps whose results stand. ``start`` is ``failed``, ``all``, or the name of a step to begin at.

    What did not end well is done again in any case, with all that needs it; so is a service that stopped with its run
    and that something done again needs, and so are the finally steps. Raises InvalidError for an unknown step.
    """
    needs = {step.name: step.needs for step in pipeline.steps}
    if start == ALL:
        return set()
    again = {name for name in needs if not _stands(ended.get(name))}
    if start != FAILED:
        if start not in needs:
            raise InvalidError(f'there is no step "{start}" to begin at', hint=did_you_mean(start, needs))
        again.add(start)
    above = {name: ancestors(needs, name) for name in needs}
    again |= {name for name in needs if above[name] & again}
    needed = {need for name in again for need in above[name]}
    services = {step.name for step in pipeline.steps if step.lifetime is Lifetime.RUN}
    return set(needs) - again - (services & needed)


def _stands(status: StepStatus | None) -> bool:
    return status is not None and ended_well(status.state, status.reason, False)
