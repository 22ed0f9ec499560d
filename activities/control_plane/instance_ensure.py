"""Ensures the instance of a step: its new revision is made, and the step waits until that is ready."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity

from activities.beating import beating
from activities.control_plane.refusals import final, refusals_are_final
from gamekeeper.backoff import Backoff
from gamekeeper.domain.instance.control import REFUSED, ActionEnd
from gamekeeper.domain.instance.ensure import EnsureInstance, not_made, started_result, step_result, too_late
from gamekeeper.domain.language.units import format_duration
from gamekeeper.domain.run.step import StepResult
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from gamekeeper.ports.instance_ensurer import InstanceEnsurer

LOOK_SECONDS = 0.3


class InstanceEnsureActivities:
    def __init__(self, instances: InstanceEnsurer, heartbeat_seconds: float = 10.0) -> None:
        self._instances = instances
        self._heartbeat_seconds = heartbeat_seconds

    @activity.defn(name="instance.ensure")
    async def ensure(self, asked: EnsureInstance) -> StepResult:
        """A revision that does not get ready is a result, never an exception. A cancel ends the wait alone."""
        async with beating(self._heartbeat_seconds):
            try:
                with refusals_are_final(REFUSED):
                    await self._instances.accept(asked)
            except UnavailableError as error:  # as of a server without room, for which the step has its time alone
                if _left(asked) > 0:
                    raise
                return not_made(asked.instance.id, _limit(asked), error.message)
            try:
                async with asyncio.timeout(_left(asked)) as limit:
                    if asked.until_started:
                        return await self._started(asked)
                    return step_result(asked.instance.id, await self._changed(asked))
            except TimeoutError:
                if not limit.expired():
                    raise
            return too_late(asked.instance.id, _limit(asked), await self._instances.seen(asked.instance.id))

    async def _started(self, asked: EnsureInstance) -> StepResult:
        """Waits for the start, or for the end of a change that never came so far."""
        changed = asyncio.create_task(self._changed(asked))
        try:
            while not changed.done():
                if (end := await self._instances.started(asked)) is not None:
                    return started_result(asked.instance.id, end)
                await asyncio.wait({changed}, timeout=LOOK_SECONDS)
            return started_result(asked.instance.id, changed.result())
        finally:
            changed.cancel()

    async def _changed(self, asked: EnsureInstance) -> ActionEnd:
        """Waits for its turn as well: one power action of an instance goes on at a time."""
        backoff = Backoff(initial=0.5, maximum=5)
        while True:
            try:
                return await self._instances.change(asked)
            except ConflictError as error:
                activity.heartbeat(str(error))
            except (InvalidError, NotFoundError) as error:
                raise final(error, REFUSED) from error
            await asyncio.sleep(backoff.next_delay())


def _limit(asked: EnsureInstance) -> str:
    return format_duration(timedelta(seconds=asked.within))


def _left(asked: EnsureInstance) -> float:
    """Seconds of the time limit that earlier deliveries of the same try have left."""
    info = activity.info()
    return max(0.0, asked.within - (info.started_time - info.scheduled_time).total_seconds())
