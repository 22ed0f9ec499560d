"""ScheduledRunWorkflow: one time of a schedule. It lasts as long as its run: Temporal's overlap rules count on it."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.intake import IntakeActivities
    from gamekeeper.domain.run.run import RunResult
    from gamekeeper.domain.run.schedule import ScheduleTerms
    from gamekeeper.temporal import queues, workflow_names
    from gamekeeper.temporal.policies import control_activity
    from workflows.run.cancels import to_its_end
    from workflows.run.pipeline_calls import start_run


@workflow.defn(name=workflow_names.SCHEDULED_RUN, failure_exception_types=[Exception])
class ScheduledRunWorkflow:
    def __init__(self) -> None:
        self._child: workflow.ChildWorkflowHandle[Any, RunResult] | None = None
        self._cancelled = False

    @workflow.run
    async def run(self, terms: ScheduleTerms) -> RunResult:
        """Fails with the run, or with the problems of the pipeline."""
        return await to_its_end(self._live(terms), self._cancel)

    async def _live(self, terms: ScheduleTerms) -> RunResult:
        run_id = f"{int(workflow.now().timestamp()):08x}{workflow.uuid4().hex[:8]}"
        told = {"run_id": run_id, "started_by": workflow.info().workflow_id, "caller": terms.created_by}
        asked = terms.runs.model_copy(update=told)
        accepted = await workflow.execute_activity_method(
            IntakeActivities.accept_scheduled,
            asked,
            **control_activity(queues.CONTROL_PLANE, summary=f"accept {asked.pipeline}"),
        )
        self._child = await start_run(accepted, f"by schedule {asked.schedule}")
        if self._cancelled:
            self._child.cancel()
        return await self._child

    def _cancel(self) -> None:
        """A run that was accepted is started all the same, so that it ends as canceled and not as lost."""
        self._cancelled = True
        if self._child is not None:
            self._child.cancel()
