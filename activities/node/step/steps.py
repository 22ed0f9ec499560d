"""The activities of a step on its node. A delivery is journaled, beats, and ends with the step's outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.node.context import NodeContext
from activities.node.step.step_start import refused
from activities.node.step.step_try import StepTry
from gamekeeper.domain.run.step import RunStepInput, StepKey, StepResult, StepState, StopServiceInput
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.node_agent import Begun

log = get_logger(__name__)


class StepActivities:
    """Registered by the agent on its node's queues; the workflow only uses the definitions."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._notes: set[asyncio.Task[None]] = set()

    @activity.defn(name="step.run_job")
    async def run_job(self, step: RunStepInput) -> StepResult:
        """Runs a job to its end. A non-zero exit is a result, never an exception."""
        async with self._delivery(step.key) as begun:
            return await StepTry(self._context, step, begun).run(wait_healthy=False)

    @activity.defn(name="step.start_service")
    async def start_service(self, step: RunStepInput) -> StepResult:
        """Returns when the service is healthy; its container goes on."""
        async with self._delivery(step.key) as begun:
            return await StepTry(self._context, step, begun).run(wait_healthy=True)

    @activity.defn(name="step.stop_service")
    async def stop_service(self, service: StopServiceInput) -> StepResult:
        """Ends a service with its run. A service that is gone is stopped."""
        async with self._beating(), _translated():
            if reason := self._context.inputs.refusal():
                raise refused(reason)
            info = await self._context.engine.find(service.key.container_name)
            if info is None:
                return StepResult(state=StepState.SUCCEEDED)
            await self._context.engine.stop(info.id, service.grace)
            self._context.containers.changed()
            return StepResult(state=StepState.SUCCEEDED, container_id=info.id)

    @asynccontextmanager
    async def _delivery(self, key: StepKey) -> AsyncIterator[Begun]:
        """Journals the task token for the time of the delivery, and beats."""
        token = activity.info().task_token
        try:
            async with self._beating(), _translated(), self._shown(key):
                yield await asyncio.to_thread(self._context.journal.begin, key, token)
        finally:
            self._context.phases.forget(key)
            self._behind(self._context.journal.returned, token)

    @asynccontextmanager
    async def _shown(self, key: StepKey) -> AsyncIterator[None]:
        """Shows on the step which part of this node is away, while Temporal tries again."""
        try:
            yield
        except UnavailableError as error:
            self._context.phases.report(key, StepState.STARTING, message=f"trying again: {error}")
            raise

    def _behind(self, note: Callable[[bytes], None], token: bytes) -> None:
        """Notes a delivery's end without holding up its answer: a full disk must not spoil a result."""

        def ended(task: asyncio.Task[None]) -> None:
            self._notes.discard(task)
            if not task.cancelled() and task.exception() is not None:
                log.warning("a delivery's end was not journaled: %s", task.exception())

        task = asyncio.create_task(asyncio.to_thread(note, token))
        self._notes.add(task)
        task.add_done_callback(ended)

    @asynccontextmanager
    async def _beating(self) -> AsyncIterator[None]:
        task = asyncio.create_task(_beat(self._context.heartbeat_seconds))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _beat(seconds: float) -> None:
    """The first beat comes after one period: most steps need none, and each is a write at the server."""
    while True:
        await asyncio.sleep(seconds)
        activity.heartbeat()


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Our errors as Temporal's: what may pass is tried again, what stays wrong is not."""
    try:
        yield
    except GamekeeperError as error:
        raise ApplicationError(
            str(error), type=error.kind, non_retryable=not isinstance(error, UnavailableError)
        ) from error
