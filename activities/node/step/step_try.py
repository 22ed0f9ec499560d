"""One delivery of one try of a step: gets its container running, waits, and reads the outcome from the engine.

Only a requested cancel, or the step's own time limit, may stop it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from temporalio import activity

from activities.node.context import NodeContext
from activities.node.step.outcome import canceled, ended_outcome, failed, give_reason
from activities.node.step.starting_again import StartingAgain
from activities.node.step.startup import Startup
from activities.node.step.step_start import GaveUpError, StepStart
from gamekeeper.domain.language.outputs import read_outputs, salvage_outputs
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.log.last_words import last_words
from gamekeeper.domain.run.step import Reason, RunStepInput, StepResult, StepState
from gamekeeper.errors import ImageError, InvalidError, PolicyError, SecretError, UnavailableError
from gamekeeper.ports.container_engine import (
    ContainerInfo,
    ContainerStatus,
    StartError,
)
from gamekeeper.ports.node_agent import Begun

HEALTH_POLL_SECONDS = 0.1


class _TimeLimitError(Exception):
    """The step's own time limit is over."""


def stop_is_requested() -> bool:
    """True when this delivery was cancelled because somebody wants the step to stop.

    A time-out, a lost server, a shutdown of the worker, a reset and a pause cancel the delivery as well, and the
    container has nothing to do with any of them.
    """
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


class StepTry:
    """One delivery of one try of a step."""

    def __init__(self, context: NodeContext, step: RunStepInput, begun: Begun) -> None:
        self._context = context
        self._engine = context.engine
        self._step = step
        self._key = step.key
        self._begun = begun
        self._grace = parse_duration(step.container.stop_grace_period).total_seconds()
        self._deadline = begun.at + step.timeout
        self._start = StepStart(context, step, begun)
        self._startup = Startup()
        self._again = StartingAgain(context.engine, step.container.restart)

    async def run(self, *, wait_healthy: bool) -> StepResult:
        container_id = ""
        try:
            async with self._limited():
                container_id = await self._start.attach_or_start()
                if self._step.until_started:
                    return await self._started(container_id)
                if wait_healthy:
                    return await self._healthy(container_id)
                await self._engine.wait(container_id)
        except asyncio.CancelledError:
            if not stop_is_requested():
                raise
            return await asyncio.shield(self._canceled())
        except _TimeLimitError:
            return await self._timed_out()
        except (GaveUpError, ImageError, InvalidError, StartError) as error:
            return await self._not_started(error)
        return await self._outcome(container_id)

    @asynccontextmanager
    async def _limited(self) -> AsyncIterator[None]:
        """The step's time limit, counted from the first sighting of this try, across deliveries."""
        left = self._deadline - time.time()
        if left <= 0:
            raise _TimeLimitError
        try:
            async with asyncio.timeout(left):
                yield
        except TimeoutError as error:
            raise _TimeLimitError from error

    async def _started(self, container_id: str) -> StepResult:
        """No outcome yet: a further delivery finds out what becomes of the container."""
        running = StepResult(state=StepState.RUNNING, container_id=container_id)
        info = await self._engine.find(container_id)
        return give_reason(running, info) if info else running

    async def _healthy(self, container_id: str) -> StepResult:
        """Waits until one start of the service has held, and shows meanwhile what keeps it from that."""
        shown = ""
        while True:
            current = self._again.note(await self._engine.find(container_id))
            is_due = self._again.is_due(current)
            if current is None or (not is_due and current.status in (ContainerStatus.EXITED, ContainerStatus.DEAD)):
                return await self._outcome(container_id, service=True)
            if self._startup.held(current, time.monotonic()):
                self._context.containers.changed()
                return give_reason(StepResult(state=StepState.SUCCEEDED), current)
            trouble = self._startup.describe(current)
            if self._startup.hopeless(current):
                text = f"the service does not stay up: {trouble}"
                return await self._stopped(failed(Reason.UNHEALTHY, await self._with_last_line(text, container_id)))
            if trouble != shown:
                shown = trouble
                self._context.phases.report(self._key, StepState.RUNNING, message=trouble, container_id=container_id)
            if is_due:
                self._start.check_policy()
                await self._again.start(container_id)
            else:
                await asyncio.sleep(HEALTH_POLL_SECONDS)

    async def _with_last_line(self, text: str, container_id: str) -> str:
        words = last_words(await self._engine.last_log_lines(container_id, 1))
        return f"{text}; {words}" if words else text

    async def _outcome(self, container_id: str, *, service: bool = False) -> StepResult:
        info = await self._engine.find(container_id)
        self._context.containers.changed()
        return await self._with_outputs(ended_outcome(info, service=service), info)

    async def _with_outputs(self, outcome: StepResult, info: ContainerInfo | None) -> StepResult:
        """Adds what the step handed on, however it ended. One that ended well must have written all it declares."""
        if info is None or not self._step.outputs:
            return outcome
        try:
            data = await self._engine.read_outputs(info.id)
            if outcome.state is not StepState.SUCCEEDED:
                return outcome.model_copy(update={"outputs": salvage_outputs(data, self._step.outputs)})
            return outcome.model_copy(update={"outputs": read_outputs(data, self._step.outputs)})
        except InvalidError as error:
            if outcome.state is not StepState.SUCCEEDED:
                return outcome
            text = f'step "{self._key.step}": {error}'
            return outcome.model_copy(update={"state": StepState.FAILED, "reason": Reason.OUTPUT, "message": text})

    async def _canceled(self) -> StepResult:
        """Stops the container. One that had ended when the cancel was heard of ended as it did."""
        info = await self._engine.find(self._key.container_name)
        own = info is not None and info.owner is not None and info.owner.key == self._key
        if info is not None and own and info.status in (ContainerStatus.EXITED, ContainerStatus.DEAD):
            return await self._outcome(info.id, service=self._step.service)
        return await self._stopped(canceled())

    async def _stopped(self, result: StepResult) -> StepResult:
        """Stops the container, then gives ``result`` with the engine's words on its end."""
        info = await self._engine.find(self._key.container_name)
        if info is None or info.owner is None or info.owner.key != self._key:
            return result
        await self._engine.stop(info.id, self._grace)
        ended = await self._engine.find(info.id)
        self._context.containers.changed()
        return await self._with_outputs(give_reason(result, ended), ended) if ended else result

    async def _timed_out(self) -> StepResult:
        """Ends even when the engine is dead, or the wait for it would have no limit. What may run on then is found
        by the reaper, because the step is over."""
        message = f"the step's time limit of {self._step.timeout:g} s was reached"
        try:
            info = await self._start.find_own()
            if self._start.fault and (info is None or info.started_at is None):
                return failed(Reason.ENGINE, f"{message}; {self._start.fault}")
            is_due = self._step.service and self._again.is_due(info)
            if info is not None and not is_due and info.status in (ContainerStatus.EXITED, ContainerStatus.DEAD):
                return await self._outcome(info.id, service=self._step.service)  # it ended while nobody was there
            if info is not None and self._step.service:
                return await self._service_timed_out(info, message)
            return await self._stopped(failed(Reason.TIMEOUT, message))
        except UnavailableError as error:
            return failed(Reason.TIMEOUT if self._start.made else Reason.ENGINE, f"{message}; {error}")

    async def _service_timed_out(self, found: ContainerInfo, message: str) -> StepResult:
        info = self._again.note(found) or found
        if self._startup.held_unseen(info, datetime.now(UTC)):
            return give_reason(StepResult(state=StepState.SUCCEEDED), info)
        trouble = self._startup.describe(info) or "the service was not healthy by then"
        text = await self._with_last_line(f"{message}; {trouble}", info.id)
        return await self._stopped(failed(self._startup.reason(info), text))

    async def _not_started(self, error: Exception) -> StepResult:
        """The outcome of a step whose process can't be started."""
        if isinstance(error, StartError):
            return await self._could_not_start(str(error))
        if isinstance(error, InvalidError):
            return failed(_reason_of(error), str(error))
        return failed(Reason.PULL_FAILED if isinstance(error, ImageError) else Reason.ENGINE, str(error))

    async def _could_not_start(self, text: str) -> StepResult:
        """The container's own command can't be started."""
        info = await self._engine.find(self._key.container_name)
        self._context.containers.changed()
        result = failed(Reason.EXIT_CODE, text)
        return give_reason(result, info) if info else result


def _reason_of(error: InvalidError) -> Reason:
    if isinstance(error, SecretError):
        return Reason.SECRET
    return Reason.POLICY if isinstance(error, PolicyError) else Reason.INTERNAL
