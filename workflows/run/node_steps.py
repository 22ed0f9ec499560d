"""Runs one step for PipelineWorkflow: waits for its node, hands out tries, and reads their outcomes."""

from __future__ import annotations

import builtins
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, CancelledError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from gamekeeper.domain.container.container_key import StepKey
    from gamekeeper.domain.language.given_port import seen_numbers, without_marks
    from gamekeeper.domain.language.resolved import ResolvedStep
    from gamekeeper.domain.language.step import Lifetime
    from gamekeeper.domain.language.units import parse_duration
    from gamekeeper.domain.node.node import NodeMode
    from gamekeeper.domain.run.limits import encoded_size
    from gamekeeper.domain.run.progress import RunProgress, may_retry, retry_delay, tried
    from gamekeeper.domain.run.step import Reason, RunStepInput, StepResult, StepState
    from gamekeeper.errors import InvalidError
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.policies import node_activity, step_priority
    from workflows.run.activity_errors import result_of
    from workflows.run.command_budget import CommandBudget, history_is_full
    from workflows.run.instance_steps import start_ensure
    from workflows.run.node_gate import NodeGate, node_disabled
    from workflows.run.pipeline_calls import PipelineCalls
    from workflows.run.rooms import Rooms
    from workflows.run.services import Services
    from workflows.run.told import read_told
    from workflows.run.try_input import input_of, why_no_input

RUN_JOB, START_SERVICE = "step.run_job", "step.start_service"
MOST_URGENT = 100


class StepRunner:
    """The tries of steps that are on their nodes now."""

    def __init__(
        self, progress: RunProgress, gate: NodeGate, calls: PipelineCalls, behaviour: int, caller: str
    ) -> None:
        self._progress = progress
        self._caller = caller
        self._gate = gate
        self._calls = calls
        self._budget = CommandBudget() if behaviour >= 3 else None
        self._tells_tries = behaviour >= 4
        self._tells_starts = behaviour >= 5
        self._ensures = behaviour >= 6
        self.services = Services(progress)
        self.rooms = Rooms(progress, gate, self.stopped_result, behaviour)
        self._live: dict[str, workflow.ActivityHandle[Any]] = {}
        self._disabled: set[str] = set()
        self._called_off: dict[str, StepResult] = {}
        self._stop: Reason | None = None

    def stop(self, reason: Reason) -> None:
        """Ends what runs and keeps what waits from starting."""
        self._stop = reason
        for handle in self._live.values():
            handle.cancel()
        for name in self._calls.live:
            self._calls.cancel(name, f"run {self._progress.run_id} ends: {reason}")

    def resume(self) -> None:
        """Lets the finally steps run after a stop."""
        self._stop = None

    def call_off(self, name: str, reason: Reason, message: str) -> None:
        """Ends one step, before or while it runs."""
        self._called_off[name] = StepResult(state=StepState.CANCELED, reason=reason, message=message)
        if name in self._live:
            self._live[name].cancel()
        self._calls.cancel(name, message)

    def stopped_result(self, name: str) -> StepResult | None:
        """The outcome of a step that is not to start any more."""
        if self._stop:
            return StepResult(state=StepState.CANCELED, reason=self._stop)
        return self._called_off.get(name)

    def node_changed(self, node_id: str) -> None:
        self.rooms.node_changed(node_id)
        view = self._gate.view(node_id)
        for name, handle in self._live.items():
            status = self._progress.statuses[name]
            if status.node != node_id:
                continue
            if view.mode is NodeMode.DISABLED:
                self._disabled.add(name)
                handle.cancel()
            elif view.status.reachable and status.state is StepState.WAITING_NODE:
                self._progress.update(name, state=StepState.STARTING, deadline_at=None)
            elif not view.status.reachable and status.state is StepState.STARTING:
                # Where the step already runs there, the phase that the agent reported still shows.
                until = workflow.now() + self._gate.wait
                self._progress.update(name, state=StepState.WAITING_NODE, deadline_at=until)

    async def run_step(self, name: str) -> StepResult:
        """All tries of a step; the last one's outcome."""
        step = self._progress.steps[name]
        tries = self._progress.statuses[name].try_  # 0, or those before somebody asked for one more
        before = tried(tries, self._progress.statuses[name]) if tries else ""
        while True:
            tries += 1
            result = await self._gate.closed(step, self._progress, self.stopped_result) or await self._attempt(
                step, tries, before
            )
            if self.stopped_result(name) or not may_retry(step, result, tries):
                return result
            before = tried(tries, result) if self._tells_tries else f"try {tries} ended: {result.reason}"
            self._progress.update(name, message=f"{before}; trying again")
            if await self._stopped_within(name, timedelta(seconds=retry_delay(step, tries))):
                return result  # the try that there was ended as it did

    async def _stopped_within(self, name: str, limit: timedelta) -> bool:
        try:
            await workflow.wait_condition(
                lambda: self.stopped_result(name) is not None, timeout=limit, timeout_summary=f"backoff of {name}"
            )
        except builtins.TimeoutError:
            return False
        return True

    async def _attempt(self, step: ResolvedStep, number: int, before: str) -> StepResult:
        if step.call is None:
            return await self._try(step, number, before)
        result = await self._calls.try_(step, step.call, number, lambda: self.stopped_result(step.name))
        return self._read(step, result)

    async def _try(self, step: ResolvedStep, number: int, before: str) -> StepResult:
        """``before`` tells of the try before this one."""
        key = StepKey(run_id=self._progress.run_id, step=step.name, try_=number)
        try:
            argument = input_of(step, key, self._progress, ensures=self._ensures, caller=self._caller)
        except (InvalidError, ValidationError) as error:
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=why_no_input(error))
        ready = await self._kept_from_starting(step, argument) or await self._with_room(step, argument)
        return ready if isinstance(ready, StepResult) else await self._begin(step, ready, before)

    async def _with_room(self, step: ResolvedStep, argument: RunStepInput) -> StepResult | RunStepInput:
        """An instance holds its room itself."""
        return argument if self._has_instance(step) else await self.rooms.take(step, argument)

    def _has_instance(self, step: ResolvedStep) -> bool:
        return step.instance is not None and self._ensures

    async def _begin(self, step: ResolvedStep, argument: RunStepInput, before: str) -> StepResult:
        key, number = argument.key, argument.key.try_
        reachable = self._gate.view(step.node).status.reachable
        waits_until = None if reachable else workflow.now() + self._gate.wait
        told = before if self._tells_tries else ""
        self._progress.begin_try(step.name, number, waits_until=waits_until, message=told)
        if argument.service and step.lifetime is Lifetime.RUN:
            self.services.add(key)
        if self._has_instance(step):
            return await self._ensure(step, argument, timedelta() if reachable else self._gate.wait)
        if argument.service and self._tells_starts and self._progress.start_is_awaited(step.name):
            result = await self._in_two_parts(step, argument)
        else:
            result = await self._deliver(step, argument, f"{step.name}.{number}")
        if argument.service and result.state is StepState.SUCCEEDED:
            self.rooms.keep(step.name)
        else:
            self.rooms.give_back(step.name)
        return result

    async def _ensure(self, step: ResolvedStep, argument: RunStepInput, waits_for_node: timedelta) -> StepResult:
        """In two parts too, where others need that the service has started."""
        is_awaited = self._progress.start_is_awaited(step.name)
        if is_awaited:
            result = await self._end_of(step, start_ensure(step, argument, waits_for_node, until_started=True))
            if result.state is not StepState.RUNNING or self.stopped_result(step.name):
                return self.stopped_result(step.name) or result
            self._progress.start(step.name, result)
        result = await self._end_of(step, start_ensure(step, argument, waits_for_node, goes_on=is_awaited))
        if is_awaited and result.state is not StepState.SUCCEEDED:
            self._progress.update(step.name, state=StepState.STARTING)
        return result

    async def _in_two_parts(self, step: ResolvedStep, argument: RunStepInput) -> StepResult:
        """A service of which others need that it has started: a delivery until then, and one until it is healthy.

        A cancel that comes in between meets neither, so it is looked for; one that comes with the second takes it
        back before the node hears of it, and then its result names no container.
        """
        activity_id = f"{step.name}.{argument.key.try_}"
        result = await self._deliver(step, argument.model_copy(update={"until_started": True}), activity_id)
        if result.state is not StepState.RUNNING:
            return result  # it has not started, or an older agent has waited until it was healthy
        self._progress.start(step.name, result)
        if self._budget is not None:
            await self._budget.take(encoded_size(argument))
        disabled = node_disabled(step.node) if self._gate.view(step.node).mode is NodeMode.DISABLED else None
        if stopped := disabled or self.stopped_result(step.name):
            await self.services.stop(argument.key)
            return stopped
        result = await self._deliver(step, argument, f"{activity_id}.healthy", priority=MOST_URGENT)
        if result.state is StepState.CANCELED and not result.container_id:
            await self.services.stop(argument.key)
        if result.state is not StepState.SUCCEEDED:
            self._progress.update(step.name, state=StepState.STARTING)  # nobody who waits for its start may go on
        return result

    async def _deliver(
        self, step: ResolvedStep, argument: RunStepInput, activity_id: str, *, priority: int | None = None
    ) -> StepResult:
        """Hands a try to its node; what runs already has the higher ``priority``."""
        number = argument.key.try_
        handle = workflow.start_activity(
            START_SERVICE if argument.service else RUN_JOB,
            argument.model_copy(update={"container": without_marks(argument.container)}),
            result_type=RawValue,
            activity_id=activity_id,
            **node_activity(
                queues.node_queue(step.node),
                work=timedelta(seconds=step.timeout),
                grace=parse_duration(argument.container.stop_grace_period),
                node_wait=self._gate.wait,
                summary=f"{step.name}, try {number}" if number > 1 else step.name,
                priority=step_priority(step.priority if priority is None else priority, argument.key.run_id),
            ),
        )
        result = await self._end_of(step, handle)
        if not argument.service:
            return result
        return result.model_copy(update={"named_ports": seen_numbers(argument.container, result.ports)})

    async def _end_of(self, step: ResolvedStep, handle: workflow.ActivityHandle[Any]) -> StepResult:
        self._live[step.name] = handle
        try:
            told = await handle
            return self._read(step, told if isinstance(told, StepResult) else self._decoded(step, told))
        except ActivityError as error:
            return self._explain(step, error)
        finally:
            del self._live[step.name]
            self._disabled.discard(step.name)

    def _decoded(self, step: ResolvedStep, told: RawValue) -> StepResult:
        try:
            return read_told(told, StepResult)
        except ValueError as error:
            message = f"the agent of node {step.node} tells an end of the step that this server can't read: {error}"
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=message)

    async def _kept_from_starting(self, step: ResolvedStep, argument: RunStepInput) -> StepResult | None:
        """The outcome of a step that the history of the run has no room for, or that was stopped while it waited for
        room in a workflow task; else None."""
        if history_is_full() and not self._progress.statuses[step.name].finally_:
            message = "the run's history is full, so nothing more starts; split the pipeline, or give out less output"
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=message)
        if self._budget is not None:
            await self._budget.take(encoded_size(argument))
        return self.stopped_result(step.name)

    def _read(self, step: ResolvedStep, result: StepResult) -> StepResult:
        """A step that was stopped says for whose sake."""
        if result.state is not StepState.CANCELED:
            return result
        called_off = self._called_off.get(step.name)
        if called_off is not None and not self._stop:
            return result.model_copy(update={"reason": called_off.reason, "message": called_off.message})
        if step.name in self._disabled:
            return result.model_copy(
                update={"reason": Reason.NODE_DISABLED, "message": f"node {step.node} was disabled"}
            )
        return result.model_copy(update={"reason": self._stop or result.reason or Reason.USER})

    def _explain(self, step: ResolvedStep, error: ActivityError) -> StepResult:
        """The outcome of a try whose activity gave none: the machinery failed, or it was stopped before it began."""
        cause = error.cause
        if isinstance(cause, CancelledError) or self.stopped_result(step.name) or step.name in self._disabled:
            return self._read(step, StepResult(state=StepState.CANCELED))
        return result_of(error, step.node, self._gate.wait)
