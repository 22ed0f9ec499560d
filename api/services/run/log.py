"""Step logs, as text, as events that can be resumed, or those of a whole run in one order."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from api.services.run.run import RunService
from gamekeeper.domain.language.pipeline import StepType
from gamekeeper.domain.log.log import LogClocks, LogRecord, LogStream
from gamekeeper.domain.run.step import StepKey, StepState
from gamekeeper.errors import InvalidError, NotFoundError
from gamekeeper.ports.log_store import LogState, LogStore

END_SECONDS = 5.0
MAX_MERGED = 200  # logs; each is read in pieces of its own


@dataclass(frozen=True, slots=True)
class StampedRecord:
    """A record of one of several logs; ``at_ns`` is when it was written, by the server's clock."""

    at_ns: int
    key: StepKey
    record: LogRecord


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
        return StepKey(run_id=row.carried_from or run_id, step=step, try_=try_number or newest)

    async def wait_for_end(self, key: StepKey) -> None:
        """Waits for the last lines of a step's log: they travel a moment longer than the step lasts.

        Waits a few seconds at most, and not at all for a log that is open for good reason.
        """
        row = await self._runs.get_step(key.run_id, key.step)
        goes_on = row.type == StepType.SERVICE and row.state == StepState.SUCCEEDED
        if not StepState(row.state).is_final or goes_on or not row.container_id:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._logs.wait_for_end(key)

    async def state(self, key: StepKey) -> LogState:
        return await self._logs.state(key)

    async def clocks(self, key: StepKey) -> LogClocks:
        return await self._logs.clocks(key)

    async def merged(self, run_id: str) -> AsyncIterator[StampedRecord]:
        """The lines of every step's newest try so far, on whatever nodes, in the order of the server's clock.

        Raises NotFoundError, and InvalidError for a run of more than ``MAX_MERGED`` steps that ran.
        """
        _, rows = await self._runs.get(run_id)
        keys = [
            StepKey(run_id=row.carried_from or run_id, step=row.name, try_=max(row.try_number, row.phase_try))
            for row in rows
        ]
        keys = [key for key in keys if key.try_ > 0]
        if len(keys) > MAX_MERGED:
            raise InvalidError(f"run {run_id} has {len(keys)} logs, more than {MAX_MERGED}", hint="read them by step")
        return _merge([self._stamped(key) for key in keys])

    async def _stamped(self, key: StepKey) -> AsyncIterator[StampedRecord]:
        """One log; a line is never before the one that it follows."""
        clocks, newest = await self._logs.clocks(key), 0
        async for records in self._logs.read(key, 0, follow=False):
            for record in records:
                if record.stream is not LogStream.END:
                    newest = max(newest, clocks.server_ns(record))
                    yield StampedRecord(newest, key, record)

    def read(self, key: StepKey, after_seq: int, *, follow: bool) -> AsyncIterator[Sequence[LogRecord]]:
        return self._logs.read(key, after_seq, follow=follow)

    async def has_no_container(self, key: StepKey) -> bool:
        """True when the try ended without a container, so that its log is empty and will stay so."""
        row = await self._runs.get_step(key.run_id, key.step)
        return StepState(row.state).is_final and row.try_number <= key.try_ and not row.container_id


async def _merge(logs: Sequence[AsyncIterator[StampedRecord]]) -> AsyncIterator[StampedRecord]:
    firsts = [(index, await anext(log, None)) for index, log in enumerate(logs)]
    heap = [(first.at_ns, index, first) for index, first in firsts if first is not None]
    heapq.heapify(heap)
    while heap:
        _, index, stamped = heap[0]
        yield stamped
        following = await anext(logs[index], None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.at_ns, index, following))
