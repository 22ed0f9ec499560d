"""ScheduledRunWorkflow: one time of a schedule. It lasts as long as its run: Temporal's overlap rules count on it."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.intake import IntakeActivities
    from gamekeeper.domain.run.run import RunResult
    from gamekeeper.domain.run.schedule import ScheduleTerms
    from gamekeeper.temporal import queues, workflow_names
    from gamekeeper.temporal.policies import control_activity
    from workflows.run.pipeline_calls import start_run


@workflow.defn(name=workflow_names.SCHEDULED_RUN, failure_exception_types=[Exception])
class ScheduledRunWorkflow:
    @workflow.run
    async def run(self, terms: ScheduleTerms) -> RunResult:
        """Fails with the run, or with the problems of the pipeline."""
        run_id = f"{int(workflow.now().timestamp()):08x}{workflow.uuid4().hex[:8]}"
        asked = terms.runs.model_copy(update={"run_id": run_id, "started_by": workflow.info().workflow_id})
        accepted = await workflow.execute_activity_method(
            IntakeActivities.accept_scheduled,
            asked,
            **control_activity(queues.CONTROL_PLANE, summary=f"accept {asked.pipeline}"),
        )
        return await (await start_run(accepted, f"by schedule {asked.schedule}"))
