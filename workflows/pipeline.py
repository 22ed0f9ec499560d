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
    from gamekeeper.domain.control import ApprovalAnswer, HoldAnswer, PauseRequest, StepCancel
    from gamekeeper.domain.node import NodeView
    from gamekeeper.domain.progress import RunProgress
    from gamekeeper.domain.run import SUPERSEDED, RunInput, RunResult, RunState
    from gamekeeper.domain.step import Reason, StepResult, StepState, StepStatus
    from gamekeeper.temporal import search_attributes
    from workflows.approvals import ApprovalRunner
    from workflows.group_queue import GroupQueue
    from workflows.holds import Holds
    from workflows.matrices import MatrixRunner
    from workflows.mirror import Mirror, OpenRun
    from workflows.node_steps import NodeGate, StepRunner
    from workflows.pipeline_calls import PipelineCalls

PARALLEL_STEPS = 200


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
        self._mirror = Mirror(self._progress, run_input.engine, self._now)
        self._matrices = MatrixRunner(self._progress, self._runner, self._run_one, self._mirror.written)
        self._paused = False
        self._ended = {name: asyncio.Event() for name in self._progress.statuses}
        self._slots = asyncio.Semaphore(PARALLEL_STEPS)
        self._started_at = workflow.now()
        self._result: RunResult | None = None
        self._engine = run_input.engine
        self._expecting: set[str] = set()

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
            if self._engine >= 2 and name in self._expecting:
                self._progress.finish(name, StepResult(state=StepState.CANCELED, reason=Reason.USER, message=text))
                self._ended[name].set()

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
        mirror = asyncio.create_task(self._mirror.run())
        await self._wait_for_turn()
        cancelled = await self._run_steps()
        await self._run_finally()
        await self._runner.stop_services()
        self._result = self._outcome()
        self._mirror.finish(self._result)
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
        self._progress.enter(self._now().state)

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
            self._expecting.add(name)
            for need in self._progress.steps[name].needs:
                await self._ended[need].wait()
            self._expecting.discard(name)
        if not self._progress.statuses[name].state.is_final:  # nor was it canceled while it waited for what it needs
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

    def _now(self) -> OpenRun:
        ends_now = self._progress.all_ended and not self._runner.has_services
        if self._queue.waiting:
            return OpenRun(RunState.QUEUED, self._queue.message, None, ends_now)
        state = RunState.PAUSED if self._paused else RunState.RUNNING
        return OpenRun(state, "", self._started_at, ends_now)

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
