"""The steps of a pipeline with their places in its document, so that a step's problem is told at its line."""

from __future__ import annotations

from dataclasses import dataclass

from gamekeeper.domain.language.pipeline import Lifetime, Pipeline, Step, StepType
from gamekeeper.domain.language.problem import Path


@dataclass(frozen=True)
class Placed:
    """A step with its path in the document, its resolved needs, and the lifetime of a service."""

    step: Step
    path: Path
    needs: list[str]
    is_finally: bool
    lifetime: Lifetime | None


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
