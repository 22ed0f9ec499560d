"""One run, interpreted: the order in which steps start, wait, are stopped and end.

The rules of the graph are in ``gamekeeper.domain.run.progress``; this module has what needs Temporal. It runs in a task
that no cancel reaches (``workflows.run.cancels``): a cancel is a call of ``cancel``.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.language.resolved import ResolvedStep
    from gamekeeper.domain.node.node import NodeView
    from gamekeeper.domain.run.control import PauseRequest, StepCancel
    from gamekeeper.domain.run.limits import shortened
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.run import RunInput, RunResult, RunState
    from gamekeeper.domain.run.step import Reason, StepResult, StepState
    from gamekeeper.temporal import search_attributes
    from workflows.run.approvals import ApprovalRunner
    from workflows.run.group_queue import GroupQueue
    from workflows.run.holds import Holds
    from workflows.run.matrices import MatrixRunner
    from workflows.run.mirror import Mirror, OpenRun
    from workflows.run.node_gate import NodeGate
    from workflows.run.node_steps import StepRunner
    from workflows.run.pipeline_calls import PipelineCalls

PARALLEL_STEPS = 200


class Interpreter:
    """``queue``, ``approvals`` and ``holds`` are told what others answer."""

    def __init__(self, run_input: RunInput) -> None:
        self._pipeline = run_input.pipeline
        self.progress = RunProgress(run_input.run_id, run_input.pipeline, run_input.carried)
        self._gate = NodeGate(run_input.nodes, run_input.pipeline.node_wait)
        calls = PipelineCalls(self.progress, run_input.callers)
        self._runner = StepRunner(self.progress, self._gate, calls, run_input.behaviour, run_input.caller)
        self.queue = GroupQueue(run_input.run_id, run_input.pipeline.concurrency)
        self.approvals = ApprovalRunner(self.progress, self._runner)
        self.holds = Holds(self.progress, self._runner)
        self._mirror = Mirror(self.progress, self._runner.rooms, run_input.behaviour, self._now)
        self._matrices = MatrixRunner(self.progress, self._runner, self._run_one, self._mirror.written)
        self._paused = False
        self._ended = {name: asyncio.Event() for name in self.progress.statuses}
        self._slots = asyncio.Semaphore(PARALLEL_STEPS)
        self._started_at = workflow.now()
        self._cancelled_for: Reason | None = None
        self._cancel_words = ""
        self._result: RunResult | None = None
        self._behaviour = run_input.behaviour
        self._is_indexed = run_input.is_indexed
        self._expecting: set[str] = set()

    def cancel(self, reason: Reason, words: str) -> None:
        """The run is to end, for the reason that ``words`` say. It stops the steps; the finally steps run to their end
        even so.

        A cancel that comes when the result is known changes nothing: the run has ended as it did.
        """
        if self._result is not None:
            return
        self._cancelled_for, self._cancel_words = reason, words
        self.progress.stopped = reason

    def update_node(self, node: NodeView) -> None:
        self._gate.update(node)
        self._runner.node_changed(node.id)

    def set_paused(self, request: PauseRequest) -> None:
        self._paused = request.paused
        self.progress.enter(RunState.PAUSED if request.paused else RunState.RUNNING)

    def check_paused(self, request: PauseRequest) -> None:
        if self._result is not None:
            raise ValueError(f"the run has ended: {self._result.state}")
        if self._cancelled_for is not None:
            raise ValueError("the run is being canceled")
        if request.paused == self._paused:
            raise ValueError("the run is paused already" if self._paused else "the run is not paused")

    def cancel_step(self, request: StepCancel) -> None:
        text = f"canceled by {request.by}" + (f": {request.reason}" if request.reason else "")
        for name in (request.step, *self.progress.cells(request.step)):
            self._runner.call_off(name, Reason.USER, text)
            if self._behaviour >= 2 and name in self._expecting:
                self.progress.finish(name, StepResult(state=StepState.CANCELED, reason=Reason.USER, message=text))
                self._ended[name].set()

    def check_cancel(self, request: StepCancel) -> None:
        status = self.progress.statuses.get(request.step)
        if status is None or status.state.is_final:
            state = f"it is {status.state}" if status else "there is no such step"
            raise ValueError(f'step "{request.step}" can\'t be canceled: {state}')

    async def run(self) -> RunResult:
        """The run from its first wait to its last write. It ends with a result, whatever its steps do."""
        mirror = asyncio.create_task(self._mirror.run())
        await self._wait_for_turn()
        await self._run_steps()
        await self._run_finally()
        await self._runner.services.stop_all()
        self._runner.rooms.give_all_back()
        self._result = self._outcome()
        self._mirror.finish(self._result)
        self.progress.state = self._result.state
        if self._is_indexed:
            workflow.upsert_search_attributes([search_attributes.STATE.value_set(self._result.state.value)])
        await mirror
        await self.queue.leave()
        return self._result

    async def _wait_for_turn(self) -> None:
        """Waits in the run's concurrency group. A run that is cancelled here never begins, nor do its finally steps."""
        if self._cancelled_for is None:
            await self.queue.enter(
                lambda: self.progress.enter(RunState.QUEUED), lambda: self._cancelled_for is not None
            )
        if self._cancelled_for is not None:
            self._runner.stop(self._cancelled_for)
            return
        self._started_at = workflow.now()
        self.progress.enter(self._now().state)

    async def _run_steps(self) -> None:
        steps = [asyncio.create_task(self._step(step.name)) for step in self._pipeline.steps]
        limit = timedelta(seconds=self._pipeline.timeout) if self._pipeline.timeout else None
        waiting = list(steps)
        reason: Reason | None = None
        try:
            await workflow.wait_condition(
                lambda: _all_done(waiting) or self._cancelled_for is not None,
                timeout=limit,
                timeout_summary="time limit of the run",
            )
        except TimeoutError:
            reason = Reason.TIMEOUT
        reason = self._cancelled_for or reason
        if reason is not None:
            self.progress.stopped = reason
            self._paused = False
            self._runner.stop(reason)
        await asyncio.gather(*steps)

    async def _run_finally(self) -> None:
        if not self.queue.waiting:
            self._runner.resume()
        await asyncio.gather(*[asyncio.create_task(self._step(step.name)) for step in self._pipeline.finally_])

    async def _step(self, name: str) -> None:
        """One step from its wait to its end. What goes wrong in here is this step's error and nobody else's."""
        try:
            await self._lead(name)
        except Exception as error:
            workflow.logger.exception("step %s of run %s failed in the workflow", name, self.progress.run_id)
            message = f"Gamekeeper failed at this step ({type(error).__name__}: {error}); please report it"
            self.progress.finish(
                name, StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=shortened(message))
            )
        self._ended[name].set()

    async def _lead(self, name: str) -> None:
        if not self.progress.statuses[name].state.is_final:  # a rerun carries finished steps over
            self._expecting.add(name)
            await self._needs_met(self.progress.steps[name])
            self._expecting.discard(name)
        if not self.progress.statuses[name].state.is_final:  # nor was it canceled while it waited for what it needs
            with workflow.create_event_group(name).scope():  # all that is done for it stands together in the web UI
                stopped = self._runner.stopped_result(name)
                result = stopped or self.progress.decide(name) or await self._perform(name)
            self.progress.finish(name, result)

    async def _needs_met(self, step: ResolvedStep) -> None:
        for need in step.needs:
            if need not in step.started_needs:
                await self._ended[need].wait()
        if step.started_needs:
            await workflow.wait_condition(lambda: all(map(self.progress.has_started, step.started_needs)))

    async def _perform(self, name: str) -> StepResult:
        step = self.progress.steps[name]
        if step.approval is not None:
            return await self.approvals.run(name)
        if step.matrix is not None:
            return await self._matrices.run(name)
        return await self._run_one(name)

    async def _run_one(self, name: str) -> StepResult:
        while True:
            async with self._slots:
                stopped = await self._stopped_while_paused(name)
                result = stopped or await self._runner.run_step(name)
            settled = await self.holds.settle(name, result)
            if settled is not None:
                return settled

    async def _stopped_while_paused(self, name: str) -> StepResult | None:
        if self._paused:
            await workflow.wait_condition(lambda: not self._paused or self._runner.stopped_result(name) is not None)
            return self._runner.stopped_result(name)
        return None

    def _now(self) -> OpenRun:
        ends_now = self.progress.all_ended and not self._runner.services.any
        if self.queue.waiting:
            return OpenRun(RunState.QUEUED, self.queue.message, None, ends_now)
        state = RunState.PAUSED if self._paused else RunState.RUNNING
        return OpenRun(state, "", self._started_at, ends_now)

    def _outcome(self) -> RunResult:
        if self._cancelled_for is not None:
            message = shortened(self._cancel_words)
            return RunResult(state=RunState.CANCELED, reason=self._cancelled_for, message=message)
        if self.progress.stopped is Reason.TIMEOUT:
            return RunResult(state=RunState.FAILED, reason=Reason.TIMEOUT, message="the run's time limit was reached")
        first = self.progress.first_failure()
        if first is not None:
            message = f"step {first.name}: {first.message or first.reason or first.state}"
            return RunResult(state=RunState.FAILED, reason=first.reason, message=shortened(message))
        return RunResult(state=self.progress.outcome())


def _all_done(waiting: list[asyncio.Task[None]]) -> bool:
    """Drops tasks that are done from the end of the list. It is asked after every change: those before are not counted
    anew each time."""
    while waiting and waiting[-1].done():
        waiting.pop()
    return not waiting
