"""PipelineWorkflow: interprets one resolved pipeline, a node activity a step.

It owns the state of its run: nothing else writes it, and the read model only mirrors it. The rules of the graph
are in ``gamekeeper.domain.progress``; here stands what needs Temporal: waiting, starting, cancelling, ending.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.runs import RunActivities
    from gamekeeper.domain.node import NodeView
    from gamekeeper.domain.progress import RunProgress
    from gamekeeper.domain.run import RunInput, RunResult, RunSnapshot, RunState
    from gamekeeper.domain.step import Reason, StepResult, StepState, StepStatus
    from gamekeeper.temporal import queues, search_attributes
    from gamekeeper.temporal.policies import control_activity
    from workflows.node_steps import NodeGate, StepRunner

PARALLEL_STEPS = 200


@workflow.defn(name="PipelineWorkflow", failure_exception_types=[Exception])
class PipelineWorkflow:
    @workflow.init
    def __init__(self, run_input: RunInput) -> None:
        self._pipeline = run_input.pipeline
        self._progress = RunProgress(run_input.run_id, run_input.pipeline)
        self._gate = NodeGate(run_input.nodes, run_input.pipeline.node_wait)
        self._runner = StepRunner(self._progress, self._gate)
        self._ended = {name: asyncio.Event() for name in self._progress.statuses}
        self._slots = asyncio.Semaphore(PARALLEL_STEPS)
        self._started_at = workflow.now()
        self._result: RunResult | None = None
        self._version = 0

    @workflow.signal
    def node_changed(self, node: NodeView) -> None:
        """The API tells of a node's new mode or status; steps that wait for it go on, or end when it is disabled."""
        self._gate.update(node)
        self._runner.node_changed(node.id)

    @workflow.query
    def get_steps(self) -> list[StepStatus]:
        return list(self._progress.statuses.values())

    @workflow.run
    async def run(self, _: RunInput) -> RunResult:
        self._progress.state = RunState.RUNNING
        mirror = asyncio.create_task(self._mirror())
        cancelled = await self._run_steps()
        await self._run_finally()
        await self._runner.stop_services()
        self._result = self._outcome()
        self._progress.state = self._result.state
        workflow.upsert_search_attributes([search_attributes.STATE.value_set(self._result.state.value)])
        await mirror
        return self._close(cancelled)

    async def _run_steps(self) -> bool:
        """Runs the steps until all ended; True when the run was cancelled meanwhile."""
        steps = [asyncio.create_task(self._step(step.name)) for step in self._pipeline.steps]
        limit = timedelta(seconds=self._pipeline.timeout) if self._pipeline.timeout else None
        reason: Reason | None = None
        try:
            await workflow.wait_condition(
                lambda: all(step.done() for step in steps) or workflow.cancellation_reason() is not None,
                timeout=limit,
                timeout_summary="time limit of the run",
            )
        except asyncio.CancelledError:
            reason = Reason.USER
        except TimeoutError:
            reason = Reason.TIMEOUT
        # A cancel that arrives together with a step's end raises nothing here, so the reason is asked for as well.
        if workflow.cancellation_reason() is not None:
            reason = Reason.USER
        if reason is not None:
            self._progress.cancelled = reason is Reason.USER
            self._runner.stop(reason)
        await asyncio.gather(*steps)
        return reason is Reason.USER

    async def _run_finally(self) -> None:
        self._runner.resume()
        await asyncio.gather(*[asyncio.create_task(self._step(step.name)) for step in self._pipeline.finally_])

    async def _step(self, name: str) -> None:
        for need in self._progress.steps[name].needs:
            await self._ended[need].wait()
        stopped = self._runner.stopped_result()
        result = stopped or self._progress.decide(name)
        if result is None:
            async with self._slots:
                result = await self._runner.run_step(name)
        self._progress.finish(name, result)
        self._ended[name].set()

    async def _mirror(self) -> None:
        """Keeps the read model at the newest state: one write at a time, each with all that changed meanwhile."""
        final = False
        while not final:
            await workflow.wait_condition(lambda: self._progress.has_changes or self._result is not None)
            final = self._result is not None
            workflow.set_current_details(self._progress.markdown())
            await workflow.execute_activity_method(
                RunActivities.write_snapshot,
                self._snapshot(),
                **control_activity(queues.CONTROL_PLANE, summary=f"state {self._progress.state}"),
            )

    def _snapshot(self) -> RunSnapshot:
        self._version += 1
        result = self._result
        return RunSnapshot(
            run_id=self._progress.run_id,
            version=self._version,
            state=self._progress.state,
            reason=result.reason if result else None,
            message=result.message if result else "",
            started_at=self._started_at,
            finished_at=workflow.now() if result else None,
            steps=self._progress.take_changes(),
        )

    def _outcome(self) -> RunResult:
        state = self._progress.outcome()
        if self._runner.last_stop is Reason.TIMEOUT:
            return RunResult(state=RunState.FAILED, reason=Reason.TIMEOUT, message="the run's time limit was reached")
        if state is RunState.CANCELED:
            return RunResult(state=state, reason=Reason.USER, message=workflow.cancellation_reason() or "")
        first = self._progress.first_failure()
        if state is RunState.FAILED and first is not None:
            message = f"step {first.name}: {first.message or first.reason or first.state}"
            return RunResult(state=state, reason=first.reason, message=message)
        return RunResult(state=state)

    def _close(self, cancelled: bool) -> RunResult:
        """Ends the workflow so that the Temporal web UI shows what became of the run."""
        result = self._result or RunResult(state=RunState.FAILED, reason=Reason.INTERNAL)
        if cancelled:
            raise asyncio.CancelledError(result.message)
        if result.state is RunState.FAILED:
            raise ApplicationError(
                result.message or "failed",
                result,
                type="RunFailed",
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )
        return result


__all__ = ["PipelineWorkflow", "StepResult", "StepState"]
