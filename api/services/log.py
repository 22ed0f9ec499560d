"""Step logs, as text or as events that can be resumed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from api.services.run import RunService
from gamekeeper.domain.log import LogRecord
from gamekeeper.domain.pipeline import StepType
from gamekeeper.domain.step import StepKey, StepState
from gamekeeper.errors import NotFoundError
from gamekeeper.ports.log_store import LogState, LogStore

END_SECONDS = 5.0


class LogService:
    def __init__(self, runs: RunService, logs: LogStore) -> None:
        self._runs = runs
        self._logs = logs

    async def find(self, run_id: str, step: str, try_number: int | None) -> StepKey:
        """The key of a step's log; by default of its newest try. Raises NotFoundError."""
        row = await self._runs.get_step(run_id, step)
        newest = max(row.try_number, row.phase_try, 1)
        if try_number is not None and try_number > newest:
            raise NotFoundError(f'step "{step}" of run {run_id} has had {newest} tries, not {try_number}')
        return StepKey(run_id=run_id, step=step, try_=try_number or newest)

    async def wait_for_end(self, key: StepKey) -> None:
        """A step is over a moment before its last lines have travelled: who reads its log then gets it whole.

        Waits a few seconds at most, and not at all for a log that is open for good reason.
        """
        row = await self._runs.get_step(key.run_id, key.step)
        goes_on = row.type == StepType.SERVICE and row.state == StepState.SUCCEEDED
        if not StepState(row.state).is_final or goes_on or not row.container_id:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                async for _ in self._logs.read(key, 0, follow=True):
                    pass

    async def state(self, key: StepKey) -> LogState:
        return await self._logs.state(key)

    def read(self, key: StepKey, after_seq: int, *, follow: bool) -> AsyncIterator[Sequence[LogRecord]]:
        return self._logs.read(key, after_seq, follow=follow)

    async def has_no_container(self, key: StepKey) -> bool:
        """Whether the try ended without a container, so that its log is empty and will stay so."""
        row = await self._runs.get_step(key.run_id, key.step)
        return StepState(row.state).is_final and row.try_number <= key.try_ and not row.container_id
