"""A step brings the actor who asked for its run, by whom its node judges it again."""

from __future__ import annotations

from temporalio import activity

from activities.node.step.steps import StepActivities
from gamekeeper.domain.run.step import RunStepInput, StepResult
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import step


async def test_a_step_brings_its_caller(control_plane: ControlPlane) -> None:
    told: list[str] = []

    class Noting(StepActivities):
        @activity.defn(name="step.run_job")
        async def run_job(self, step: RunStepInput) -> StepResult:
            told.append(step.caller)
            return await super().run_job(step)

    await control_plane.start_node(kind=Noting)
    for caller in ("key:ann", ""):
        assert await ended(await control_plane.submit(step("a"), caller=caller)) == "completed"
    assert told == ["key:ann", ""]
