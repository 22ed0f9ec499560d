"""The activities of a step on its node. A delivery is journaled, beats, and ends with the step's outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

from activities.beating import beating
from activities.node.context import NodeContext
from activities.node.delivery import note_behind, refused, translated
from activities.node.step.step_try import StepTry
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.run.step import RunStepInput, StepResult, StepState, StopServiceInput
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.node_agent import Begun


class StepActivities:
    """Registered by the agent on its node's queues; the workflow only uses the definitions."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    @activity.defn(name="step.run_job")
    async def run_job(self, step: RunStepInput) -> StepResult:
        """Runs a job to its end. A non-zero exit is a result, never an exception."""
        async with self._delivery(step.key) as begun:
            return await StepTry(self._context, step, begun).run(wait_healthy=False)

    @activity.defn(name="step.start_service")
    async def start_service(self, step: RunStepInput) -> StepResult:
        """Returns when the service is healthy, or has started where no more is asked for. Its container goes on."""
        async with self._delivery(step.key) as begun:
            return await StepTry(self._context, step, begun).run(wait_healthy=True)

    @activity.defn(name="step.stop_service")
    async def stop_service(self, service: StopServiceInput) -> StepResult:
        """Ends a service with its run. A service that is gone is stopped."""
        async with beating(self._context.heartbeat_seconds), translated():
            if reason := self._context.inputs.refusal():
                raise refused("step", reason)
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
            async with beating(self._context.heartbeat_seconds), translated(), self._shown(key):
                yield await asyncio.to_thread(self._context.journal.begin, key, token)
        finally:
            self._context.phases.forget(key)
            note_behind(self._context.journal.returned, token)

    @asynccontextmanager
    async def _shown(self, key: StepKey) -> AsyncIterator[None]:
        """Shows on the step which part of this node is away, while Temporal tries again."""
        try:
            yield
        except UnavailableError as error:
            self._context.phases.report(key, StepState.STARTING, message=f"trying again: {error}")
            raise
