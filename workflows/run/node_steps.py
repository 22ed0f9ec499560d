"""Runs one step for PipelineWorkflow: waits for its node, hands out tries, and reads their outcomes."""

from __future__ import annotations

import asyncio
import builtins
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError, TimeoutType

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from activities.node.step.steps import StepActivities
    from gamekeeper.domain.language.pipeline import Lifetime, StepType
    from gamekeeper.domain.language.plain_words import first_words
    from gamekeeper.domain.language.resolved import ResolvedStep
    from gamekeeper.domain.language.units import format_duration, parse_duration
    from gamekeeper.domain.node.node import NodeMode, NodeView
    from gamekeeper.domain.run.limits import encoded_size
    from gamekeeper.domain.run.progress import RunProgress, may_retry, retry_delay, tried
    from gamekeeper.domain.run.step import (
        Reason,
        RunStepInput,
        StepKey,
        StepResult,
        StepState,
        StopServiceInput,
    )
    from gamekeeper.errors import InvalidError
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.policies import STOP_MARGIN, node_activity, step_priority
    from workflows.run.command_budget import CommandBudget, history_is_full
    from workflows.run.node_gate import NodeGate
    from workflows.run.pipeline_calls import PipelineCalls

NODE_REFRESH = timedelta(seconds=30)


class StepRunner:
    """The tries of steps that are on their nodes now."""

    def __init__(self, progress: RunProgress, gate: NodeGate, calls: PipelineCalls, behaviour: int) -> None:
        self._progress = progress
        self._gate = gate
        self._calls = calls
        self._budget = CommandBudget() if behaviour >= 3 else None
        self._tells_tries = behaviour >= 4
        self._live: dict[str, workflow.ActivityHandle[StepResult]] = {}
        self._service_keys: dict[str, StepKey] = {}
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
            result = await self._gate_closed(step) or await self._attempt(step, tries, before)
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

    async def _gate_closed(self, step: ResolvedStep) -> StepResult | None:
        """Waits while the node is in maintenance; the outcome when the step can't start there at all."""
        deadline = workflow.now() + self._gate.wait
        while True:
            view = self._gate.view(step.node)
            if stopped := self.stopped_result(step.name):
                return stopped
            if view.mode is NodeMode.DISABLED:
                return _node_disabled(step.node)
            if view.mode is NodeMode.ACTIVE:
                return None
            message = f"node {step.node} is in maintenance"
            if workflow.now() >= deadline:
                return StepResult(
                    state=StepState.ERROR, reason=Reason.AGENT_LOST, message=f"{message}; gave up waiting"
                )
            status = self._progress.statuses[step.name]
            if status.state is not StepState.WAITING_NODE:
                self._progress.update(step.name, state=StepState.WAITING_NODE, message=message, deadline_at=deadline)
            await self._node_moved(step, view, deadline)

    async def _node_moved(self, step: ResolvedStep, seen: NodeView, deadline: datetime) -> None:
        limit = max(timedelta(milliseconds=1), min(NODE_REFRESH, deadline - workflow.now()))
        try:
            await workflow.wait_condition(
                lambda: self.stopped_result(step.name) is not None or self._gate.view(step.node) != seen,
                timeout=limit,
                timeout_summary=f"{step.name} waits for node {step.node}",
            )
        except builtins.TimeoutError:
            await self._gate.refresh(step.node)

    async def _attempt(self, step: ResolvedStep, number: int, before: str) -> StepResult:
        if step.call is None:
            return await self._try(step, number, before)
        result = await self._calls.try_(step, step.call, number, lambda: self.stopped_result(step.name))
        return self._read(step, result)

    async def _try(self, step: ResolvedStep, number: int, before: str) -> StepResult:
        """``before`` tells of the try before this one."""
        key = StepKey(run_id=self._progress.run_id, step=step.name, try_=number)
        try:
            argument = self._input(step, key)
        except (InvalidError, ValidationError) as error:
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=_why(error))
        if not_now := await self._kept_from_starting(step, argument):
            return not_now
        reachable = self._gate.view(step.node).status.reachable
        waits_until = None if reachable else workflow.now() + self._gate.wait
        told = before if self._tells_tries else ""
        self._progress.begin_try(step.name, number, waits_until=waits_until, message=told)
        service = step.type is StepType.SERVICE
        if service and step.lifetime is Lifetime.RUN:
            self._service_keys[step.name] = key
        handle = workflow.start_activity_method(
            StepActivities.start_service if service else StepActivities.run_job,
            argument,
            activity_id=f"{step.name}.{number}",
            **node_activity(
                queues.node_queue(step.node),
                work=timedelta(seconds=step.timeout),
                grace=_grace(argument),
                node_wait=self._gate.wait,
                summary=f"{step.name}, try {number}" if number > 1 else step.name,
                priority=step_priority(step.priority, key.run_id),
            ),
        )
        self._live[step.name] = handle
        try:
            return self._read(step, await handle)
        except ActivityError as error:
            return self._explain(step, error)
        finally:
            del self._live[step.name]
            self._disabled.discard(step.name)

    async def _kept_from_starting(self, step: ResolvedStep, argument: RunStepInput) -> StepResult | None:
        """The outcome of a step that the history of the run has no room for, or that was stopped while it waited for
        room in a workflow task; else None."""
        if history_is_full() and not self._progress.statuses[step.name].finally_:
            message = "the run's history is full, so nothing more starts; split the pipeline, or give out less output"
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=message)
        if self._budget is not None:
            await self._budget.take(encoded_size(argument))
        return self.stopped_result(step.name)

    def _input(self, step: ResolvedStep, key: StepKey) -> RunStepInput:
        return RunStepInput(
            key=key,
            node=step.node,
            pipeline=self._progress.pipeline.name,
            container=self._progress.render_container(step.name),
            timeout=step.timeout,
            service=step.type is StepType.SERVICE,
            lifetime=step.lifetime,
            network=self._progress.needs_network(step.node),
            outputs=step.outputs,
        )

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
        if isinstance(cause, TimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START:
            waited = format_duration(self._gate.wait)
            message = f"node {step.node} did not take the step within {waited}; is its agent running?"
            return StepResult(state=StepState.ERROR, reason=Reason.AGENT_LOST, message=message)
        if isinstance(cause, TimeoutError):
            message = f"the agent of node {step.node} stopped answering"
            return StepResult(state=StepState.ERROR, reason=Reason.AGENT_LOST, message=message)
        message = cause.message if isinstance(cause, ApplicationError) else str(cause or error)
        return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=message)

    @property
    def has_services(self) -> bool:
        return bool(self._service_keys)

    async def stop_services(self) -> None:
        """Ends the services that live as long as the run. One that can't be stopped is left to the node's reaper."""
        stopping = [self._stop_service(name, key) for name, key in self._service_keys.items()]
        for error in await asyncio.gather(*stopping, return_exceptions=True):
            if isinstance(error, Exception):
                workflow.logger.warning("a service of run %s was not stopped: %s", self._progress.run_id, error)

    async def _stop_service(self, name: str, key: StepKey) -> None:
        step = self._progress.steps[name]
        grace = parse_duration(step.spec.stop_grace_period)
        if self._progress.statuses[name].state is not StepState.SUCCEEDED:
            return  # its own activity has stopped it
        await workflow.execute_activity_method(
            StepActivities.stop_service,
            StopServiceInput(key=key, grace=grace.total_seconds()),
            activity_id=f"{name}.stop",
            **node_activity(
                queues.node_control_queue(step.node),
                work=STOP_MARGIN,
                grace=grace,
                node_wait=STOP_MARGIN,
                summary=f"stop {name}",
            ),
        )


def _why(error: InvalidError | ValidationError) -> str:
    return str(error) if isinstance(error, InvalidError) else f"container.{first_words(error)}"


def _grace(argument: RunStepInput) -> timedelta:
    return parse_duration(argument.container.stop_grace_period)


def _node_disabled(node_id: str) -> StepResult:
    return StepResult(state=StepState.CANCELED, reason=Reason.NODE_DISABLED, message=f"node {node_id} is disabled")
