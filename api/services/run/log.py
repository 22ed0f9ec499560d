"""Step logs, as text, as events that can be resumed, or those of a whole run in one order."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from api.services.run.run import RunService
from gamekeeper.domain.language.pipeline import StepType
from gamekeeper.domain.log.log import LogClocks, LogEnd, LogRecord, LogStream
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepKey, StepState
from gamekeeper.errors import InvalidError, NotFoundError
from gamekeeper.ports.log_store import LogState, LogStore

END_SECONDS = 5.0
LOOK_SECONDS = 0.5
MAX_MERGED = 200  # logs; each is read in pieces of its own


@dataclass(frozen=True, slots=True)
class StampedRecord:
    """A record of one of several logs; ``at_ns`` is when it was written, by the server's clock."""

    at_ns: int
    key: StepKey
    record: LogRecord


@dataclass(frozen=True)
class LogPart:
    """The lines that a reader wants: the last ``tail`` of each log, and none before ``since``."""

    step: str | None = None
    try_number: int | None = None
    tail: int | None = None
    since: datetime | None = None


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

    async def merged(self, run_id: str, wanted: LogPart) -> AsyncIterator[StampedRecord]:
        """The lines of every step's newest try so far, on whatever nodes, in the order of the server's clock. Of one
        step, or one try of it, where that is wanted.

        Raises NotFoundError, and InvalidError for a run of more than ``MAX_MERGED`` steps that ran.
        """
        if wanted.step is not None:
            return _merge([self._stamped(await self.find(run_id, wanted.step, wanted.try_number), wanted)])
        _, rows = await self._runs.get(run_id)
        keys = [
            StepKey(run_id=row.carried_from or run_id, step=row.name, try_=max(row.try_number, row.phase_try))
            for row in rows
        ]
        keys = [key for key in keys if key.try_ > 0]
        if len(keys) > MAX_MERGED:
            raise InvalidError(f"run {run_id} has {len(keys)} logs, more than {MAX_MERGED}", hint="read them by step")
        return _merge([self._stamped(key, wanted) for key in keys])

    async def _stamped(self, key: StepKey, wanted: LogPart) -> AsyncIterator[StampedRecord]:
        """One log; a line is never before the one that it follows."""
        clocks, newest = await self._logs.clocks(key), 0
        after = await self.start(key, wanted.tail, wanted.since)
        async for records in self._logs.read(key, after, follow=False):
            for record in records:
                if record.stream is not LogStream.END:
                    newest = max(newest, clocks.server_ns(record))
                    yield StampedRecord(newest, key, record)

    def read(self, key: StepKey, after_seq: int) -> AsyncIterator[Sequence[LogRecord]]:
        """The records that there are now after ``after_seq``."""
        return self._logs.read(key, after_seq, follow=False)

    async def follow(self, key: StepKey, after_seq: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Records as they come, until the END record; or an END of our own, when none can come any more."""
        records = self._logs.read(key, after_seq, follow=True)
        following = asyncio.ensure_future(anext(records, None))
        quiet = 0.0
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=LOOK_SECONDS)
                if done:
                    if (found := following.result()) is None:
                        return
                    yield found
                    after_seq, quiet = found[-1].seq, 0.0
                    following = asyncio.ensure_future(anext(records, None))
                    continue
                quiet += LOOK_SECONDS
                end = await self.end_without_record(key)
                if end is not None and (end.complete or quiet >= END_SECONDS):
                    yield [LogRecord(after_seq, LogStream.END, 0, end.encode())]
                    return
        finally:
            following.cancel()

    async def end_without_record(self, key: StepKey) -> LogEnd | None:
        """The end of a log that has no END record, as far as its step tells; None while one may come."""
        run, row = await self._runs.get_with_step(key.run_id, key.step)
        state = StepState(row.state)
        if row.try_number > key.try_:
            return LogEnd(False, "a later try has begun, and the node has not sent the rest of this one")
        if not state.is_final:
            return LogEnd(True, "the step never started") if RunState(run.state).is_final else None
        if not row.container_id:
            return LogEnd(True, f"the step had no container: it is {state}")
        if row.type == StepType.SERVICE and state is StepState.SUCCEEDED:
            return None
        return LogEnd(False, f"node {row.node_id} has not sent the rest")

    async def start(self, key: StepKey, tail: int | None, since: datetime | None) -> int:
        """The number of the record after which the wanted lines begin."""
        if tail is None and since is None:
            return 0
        clocks = await self._logs.clocks(key)
        since_ns = since.timestamp() * 1e9 if since else 0
        lines: deque[int] = deque(maxlen=tail)  # the last records before the wanted lines
        last, is_open = 0, False
        async for records in self._logs.read(key, 0, follow=False):
            for record in records:
                if record.stream is LogStream.END:
                    continue
                if not is_open and clocks.server_ns(record) >= since_ns:
                    if tail is None:
                        return last
                    lines.append(last)
                last, is_open = record.seq, not record.data.endswith(b"\n") and record.stream is not LogStream.GAP
        return lines[0] if lines else last


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
