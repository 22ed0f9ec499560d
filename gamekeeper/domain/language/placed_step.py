"""The steps of a pipeline with their places in its document, so that a step's problem is told at its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gamekeeper.domain.language.given_port import keys_of
from gamekeeper.domain.language.pipeline import Pipeline
from gamekeeper.domain.language.problem import Path
from gamekeeper.domain.language.step import FIXED_OUTPUTS, INSTANCE_OUTPUTS, Lifetime, Step, StepType, Until


@dataclass(frozen=True)
class Placed:
    """A step with its path in the document, its resolved needs, and the lifetime of a service."""

    step: Step
    path: Path
    needs: list[str]
    is_finally: bool
    lifetime: Lifetime | None

    @property
    def started_needs(self) -> list[str]:
        """The services of which it only needs that they have started."""
        return [name for name, until in (self.step.needs or {}).items() if until is Until.STARTED]

    @property
    def outputs(self) -> Sequence[str]:
        """The names that expressions may read."""
        if self.lifetime is Lifetime.NODE:
            return INSTANCE_OUTPUTS
        return FIXED_OUTPUTS.get(self.step.type, self.step.outputs or [])

    @property
    def port_keys(self) -> frozenset[str] | None:
        """The names of its ports that expressions may read; None where they are known only when the run begins."""
        return keys_of(self.step.container.ports) if self.step.container is not None else frozenset()


def place_steps(pipeline: Pipeline) -> list[Placed]:
    """All steps with their needs; by default a step needs the one before it in its own list."""
    placed = []
    for key, steps in (("steps", pipeline.steps), ("finally", pipeline.finally_)):
        for index, step in enumerate(steps):
            before = [steps[index - 1].name] if index else []
            needs = before if step.needs is None else list(step.needs)
            placed.append(Placed(step, (key, index), needs, key == "finally", _lifetime(pipeline, step)))
    return placed


def _lifetime(pipeline: Pipeline, step: Step) -> Lifetime | None:
    """It never depends on other steps: nothing flips when one is added."""
    if step.type is not StepType.SERVICE:
        return None
    return step.lifetime or (Lifetime.NODE if pipeline.is_older else Lifetime.RUN)
