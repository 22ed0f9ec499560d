"""A service that outlives its run becomes an instance: the instance's id, and the group in which names are found.

The id is what makes a rerun an update: the same pipeline and step mean the same instance, unless the step names one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from gamekeeper.domain.language.pipeline import Pipeline
from gamekeeper.domain.language.placed_step import Placed
from gamekeeper.domain.language.problem import ProblemList
from gamekeeper.domain.language.rendering import Rendering
from gamekeeper.domain.language.resolved import ResolvedInstance, ResolvedStep
from gamekeeper.domain.language.step import Lifetime, Step, Strategy
from gamekeeper.domain.language.values import DNS_LABEL, as_label, has_template

MAX_ID = 63
_DIGEST = 8


def resolve_instance(item: Placed, pipeline: Pipeline, run_id: str, rendering: Rendering) -> ResolvedInstance | None:
    """The instance that a step ensures; None for a step whose container goes with its run."""
    if item.lifetime is not Lifetime.NODE:
        return None
    step = item.step
    chosen = default_id(pipeline, step, run_id) if step.instance is None else _named(item, step.instance, rendering)
    revert = True if step.auto_revert is None else rendering.flag(step.auto_revert, (*item.path, "auto_revert"))
    return ResolvedInstance(id=chosen, auto_revert=revert, strategy=step.strategy or Strategy.RECREATE)


def _named(item: Placed, text: str, rendering: Rendering) -> str:
    path = (*item.path, "instance")
    if rendering.is_open(text):
        return ""
    found = str(rendering.tree(text, path) or "")
    if has_template(found):
        message = f'"{text}" is not known before the run begins; an id may read args and envs'
        rendering.problems.add(path, "instance", message)
    elif found and not DNS_LABEL.fullmatch(found):
        message = f'"{found}" may use a-z, 0-9 and "-", up to {MAX_ID}; try "{as_label(found)}"'
        rendering.problems.add(path, "instance", message)
    return found


def default_id(pipeline: Pipeline, step: Step, run_id: str) -> str:
    """Pipeline and step. A service that stays up for no word of its own, as of a pipeline without a version, is one
    instance a run: such a pipeline was started again and again, each time for one server more."""
    parts = [pipeline.name, step.name]
    if step.lifetime is None and run_id:
        parts.append(run_id)
    return _bounded("-".join(parts).strip("-"))


def _bounded(text: str) -> str:
    if len(text) <= MAX_ID:
        return text
    digest = sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{text[: MAX_ID - _DIGEST - 1].rstrip('-')}-{digest}"


def with_group(
    pipeline: Pipeline, steps: Sequence[ResolvedStep | None], placed: Sequence[Placed], problems: ProblemList
) -> None:
    """Gives the instances of a run their group, and adds a problem for two steps that ensure the same one.

    The group is the pipeline's, unless steps name their instances: those of another name are others, and their host
    names must not meet.
    """
    seen: dict[str, str] = {}
    for step, item in zip(steps, placed, strict=True):
        if step is None or step.instance is None or not step.instance.id:
            continue
        if step.instance.id in seen:
            message = f'"{step.instance.id}" is the instance of step "{seen[step.instance.id]}" already'
            problems.add((*item.path, "instance"), "duplicate", message, "name another one")
        seen.setdefault(step.instance.id, step.name)
    group = _group(pipeline, seen)
    for step in steps:
        if step is not None and step.instance is not None:
            step.instance.group = group


def _group(pipeline: Pipeline, instances: Mapping[str, str]) -> str:
    """``instances`` has the step of each."""
    name = pipeline.name.strip("-")
    if all(found == _bounded(f"{pipeline.name}-{step}".strip("-")) for found, step in instances.items()):
        return _bounded(name)
    return _bounded(f"{name}-{sha256('/'.join(sorted(instances)).encode()).hexdigest()[:_DIGEST]}")
