"""PipelineWorkflow: interprets one resolved pipeline, a node activity a step.

It owns the state of its run: nothing else writes it, and the read model only mirrors it. The rules of the graph
are in ``gamekeeper.domain.progress``; here stands what needs Temporal: waiting, starting, cancelling, ending.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.runs import RunActivities
    from gamekeeper.domain.control import ApprovalAnswer, HoldAnswer, PauseRequest, StepCancel
    from gamekeeper.domain.node import NodeView
    from gamekeeper.domain.progress import RunProgress
    from gamekeeper.domain.run import SUPERSEDED, RunInput, RunResult, RunSnapshot, RunState
    from gamekeeper.domain.step import Reason, StepResult, StepStatus
    from gamekeeper.temporal import queues, search_attributes
    from gamekeeper.temporal.policies import control_activity
    from workflows.approvals import ApprovalRunner
    from workflows.group_queue import GroupQueue
    from workflows.holds import Holds
    from workflows.matrices import MatrixRunner
    from workflows.node_steps import NodeGate, StepRunner
    from workflows.pipeline_calls import PipelineCalls

PARALLEL_STEPS = 200
LINGER = timedelta(milliseconds=100)
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@workflow.defn(name="PipelineWorkflow", failure_exception_types=[Exception])
class PipelineWorkflow:
    @workflow.init
    def __init__(self, run_input: RunInput) -> None:
        self._pipeline = run_input.pipeline
        self._progress = RunProgress(run_input.run_id, run_input.pipeline, run_input.carried)
        self._gate = NodeGate(run_input.nodes, run_input.pipeline.node_wait)
        self._runner = StepRunner(self._progress, self._gate, PipelineCalls(self._progress, run_input.callers))
        self._queue = GroupQueue(run_input.run_id, run_input.pipeline.concurrency)
        self._approvals = ApprovalRunner(self._progress, self._runner)
        self._holds = Holds(self._progress, self._runner)
        self._matrices = MatrixRunner(self._progress, self._runner, self._run_one, self._written)
        self._paused = False
        self._ended = {name: asyncio.Event() for name in self._progress.statuses}
        self._slots = asyncio.Semaphore(PARALLEL_STEPS)
        self._started_at = workflow.now()
        self._result: RunResult | None = None
        self._version = 0
        self._written_version = 0
        self._engine = run_input.engine
        self._told_at = _LONG_AGO
        self._asked_for = 0

    @workflow.signal
    def node_changed(self, node: NodeView) -> None:
        """The API tells of a node's new mode or status; steps that wait for it go on, or end when it is disabled."""
        self._gate.update(node)
        self._runner.node_changed(node.id)

    @workflow.signal
    def slot_free(self) -> None:
        """A run of the same concurrency group has ended."""
        self._queue.wake()

    @workflow.update
    def answer_approval(self, answer: ApprovalAnswer) -> None:
        """Somebody approves or rejects; refused for a step that does not ask."""
        self._approvals.give(answer)

    @answer_approval.validator
    def _check_approval(self, answer: ApprovalAnswer) -> None:
        self._approvals.check(answer)

    @workflow.update
    def answer_hold(self, answer: HoldAnswer) -> None:
        """Somebody decides what becomes of a held step."""
        self._holds.give(answer)

    @answer_hold.validator
    def _check_hold(self, answer: HoldAnswer) -> None:
        self._holds.check(answer)

    @workflow.update
    def set_paused(self, request: PauseRequest) -> None:
        """While a run is paused no step starts; what runs goes on, and so do time limits."""
        self._paused = request.paused
        self._progress.enter(RunState.PAUSED if request.paused else RunState.RUNNING)

    @set_paused.validator
    def _check_paused(self, request: PauseRequest) -> None:
        if self._result is not None:
            raise ValueError(f"the run has ended: {self._result.state}")
        if request.paused == self._paused:
            raise ValueError("the run is paused already" if self._paused else "the run is not paused")

    @workflow.update
    def cancel_step(self, request: StepCancel) -> None:
        """Ends one step, and all cells of a matrix; the run goes on as after a failure."""
        text = f"canceled by {request.by}" + (f": {request.reason}" if request.reason else "")
        for name in (request.step, *self._progress.cells(request.step)):
            self._runner.call_off(name, Reason.USER, text)

    @cancel_step.validator
    def _check_cancel(self, request: StepCancel) -> None:
        status = self._progress.statuses.get(request.step)
        if status is None or status.state.is_final:
            state = f"it is {status.state}" if status else "there is no such step"
            raise ValueError(f'step "{request.step}" can\'t be canceled: {state}')

    @workflow.query
    def get_steps(self) -> list[StepStatus]:
        return list(self._progress.statuses.values())

    @workflow.run
    async def run(self, _: RunInput) -> RunResult:
        mirror = asyncio.create_task(self._mirror())
        await self._wait_for_turn()
        cancelled = await self._run_steps()
        await self._run_finally()
        await self._runner.stop_services()
        self._result = self._outcome()
        self._progress.state = self._result.state
        workflow.upsert_search_attributes([search_attributes.STATE.value_set(self._result.state.value)])
        await mirror
        await self._queue.leave()
        return self._close(cancelled)

    async def _wait_for_turn(self) -> None:
        """In the run's concurrency group. A run that is cancelled here never begins, and nor do its finally steps."""
        try:
            await self._queue.enter(lambda: self._progress.enter(RunState.QUEUED))
        except asyncio.CancelledError:
            self._runner.stop(_cancel_cause())
            return
        self._started_at = workflow.now()
        self._progress.enter(self._open_state())

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
            reason = _cancel_cause()
        except TimeoutError:
            reason = Reason.TIMEOUT
        # A cancel that arrives together with a step's end raises nothing here, so the reason is asked for as well.
        if workflow.cancellation_reason() is not None:
            reason = _cancel_cause()
        if reason is not None:
            self._progress.cancelled = reason is not Reason.TIMEOUT
            self._paused = False
            self._runner.stop(reason)
        await asyncio.gather(*steps)
        return self._progress.cancelled

    async def _run_finally(self) -> None:
        if not self._queue.waiting:
            self._runner.resume()
        await asyncio.gather(*[asyncio.create_task(self._step(step.name)) for step in self._pipeline.finally_])

    async def _step(self, name: str) -> None:
        if not self._progress.statuses[name].state.is_final:  # a rerun carries finished steps over
            for need in self._progress.steps[name].needs:
                await self._ended[need].wait()
            with workflow.create_event_group(name).scope():  # all that is done for it stands together in the web UI
                stopped = self._runner.stopped_result(name)
                result = stopped or self._progress.decide(name) or await self._perform(name)
            self._progress.finish(name, result)
        self._ended[name].set()

    async def _perform(self, name: str) -> StepResult:
        step = self._progress.steps[name]
        if step.approval is not None:
            return await self._approvals.run(name)
        if step.matrix is not None:
            return await self._matrices.run(name)
        return await self._run_one(name)

    async def _run_one(self, name: str) -> StepResult:
        while True:
            async with self._slots:
                stopped = await self._stopped_while_paused(name)
                result = stopped or await self._runner.run_step(name)
            settled = await self._holds.settle(name, result)
            if settled is not None:
                return settled

    async def _stopped_while_paused(self, name: str) -> StepResult | None:
        if self._paused:
            await workflow.wait_condition(lambda: not self._paused or self._runner.stopped_result(name) is not None)
            return self._runner.stopped_result(name)
        return None

    async def _written(self) -> None:
        """Until the read model has all that is known now."""
        following = self._asked_for = self._version + 1
        await workflow.wait_condition(lambda: self._written_version >= following)

    async def _mirror(self) -> None:
        """Keeps the read model at the newest state: one write at a time, each with all that changed meanwhile."""
        final = False
        while not final:
            await workflow.wait_condition(self._has_news)
            if self._engine >= 2:
                await self._linger()
            self._told_at = workflow.now()
            snapshot = self._snapshot()
            final = snapshot.state.is_final
            workflow.set_current_details(self._progress.markdown())
            await workflow.execute_activity_method(
                RunActivities.write_snapshot,
                snapshot,
                **control_activity(queues.CONTROL_PLANE, summary=f"state {self._progress.state}"),
            )
            self._written_version = snapshot.version

    def _has_news(self) -> bool:
        if self._result is not None:
            return True
        ends_now = self._engine >= 2 and self._progress.all_ended and not self._runner.has_services
        return self._progress.has_changes and not ends_now

    async def _linger(self) -> None:
        """Each write is an activity and a workflow task: what changes close together is told together."""
        wait = self._told_at + LINGER - workflow.now()
        if wait > timedelta():
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._result is not None or self._asked_for > self._version,
                    timeout=wait,
                    timeout_summary="changes are told together",
                )

    def _snapshot(self) -> RunSnapshot:
        self._version += 1
        steps = self._progress.take_changes()
        result = None if self._progress.has_changes else self._result  # the end comes with the last change
        return RunSnapshot(
            run_id=self._progress.run_id,
            version=self._version,
            state=result.state if result else self._open_state(),
            reason=result.reason if result else None,
            message=result.message if result else self._waits_for(),
            started_at=None if self._queue.waiting else self._started_at,
            finished_at=workflow.now() if result else None,
            steps=steps,
        )

    def _waits_for(self) -> str:
        return self._queue.message if self._queue.waiting else ""

    def _open_state(self) -> RunState:
        if self._queue.waiting:
            return RunState.QUEUED
        return RunState.PAUSED if self._paused else RunState.RUNNING

    def _outcome(self) -> RunResult:
        state = self._progress.outcome()
        if self._runner.last_stop is Reason.TIMEOUT:
            return RunResult(state=RunState.FAILED, reason=Reason.TIMEOUT, message="the run's time limit was reached")
        if state is RunState.CANCELED:
            reason = self._runner.last_stop or Reason.USER
            return RunResult(state=state, reason=reason, message=workflow.cancellation_reason() or "")
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


def _cancel_cause() -> Reason:
    superseded = (workflow.cancellation_reason() or "").startswith(SUPERSEDED)
    return Reason.SUPERSEDED if superseded else Reason.USER
