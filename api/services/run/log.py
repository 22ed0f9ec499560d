"""Step logs, as text, as events that can be resumed, or those of a whole run in one order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from api.services.log_part import StampedRecord, merge, stamped, start_of
from api.services.run.kept_log import KeptLogs
from api.services.run.run import RunService
from gamekeeper.domain.container.container_key import ContainerKey, StepKey
from gamekeeper.domain.language.step import StepType
from gamekeeper.domain.log.log import LogClocks, LogEnd, LogRecord, LogStream
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepState
from gamekeeper.errors import InvalidError, NotFoundError
from gamekeeper.ports.log_store import LogState, LogStore

END_SECONDS = 5.0
LOOK_SECONDS = 0.5
MAX_MERGED = 200  # logs; each is read in pieces of its own


@dataclass(frozen=True)
class LogPart:
    """The lines that a reader wants: the last ``tail`` of each log, and none before ``since``."""

    step: str | None = None
    try_number: int | None = None
    tail: int | None = None
    since: datetime | None = None


class LogService:
    """Logs by the keys of steps. ``kept`` knows the steps whose container is an instance's."""

    def __init__(self, runs: RunService, logs: LogStore, kept: KeptLogs) -> None:
        self._runs = runs
        self._logs = logs
        self._kept = kept

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
            if isinstance(stored := await self.stored(key), StepKey):  # an instance's goes on
                async with asyncio.timeout(END_SECONDS):
                    await self._logs.wait_for_end(stored)

    async def stored(self, key: StepKey) -> ContainerKey:
        """The key under which the log of a try lies."""
        return await self._kept.key_of(key)

    async def state(self, key: StepKey) -> LogState:
        return await self._logs.state(await self.stored(key))

    async def clocks(self, key: StepKey) -> LogClocks:
        return await self._logs.clocks(await self.stored(key))

    async def merged(self, run_id: str, wanted: LogPart) -> AsyncIterator[StampedRecord]:
        """The lines of every step's newest try so far, on whatever nodes, in the order of the server's clock. Of one
        step, or one try of it, where that is wanted.

        Raises NotFoundError, and InvalidError for a run of more than ``MAX_MERGED`` steps that ran.
        """
        if wanted.step is not None:
            return merge([self._stamped(await self.find(run_id, wanted.step, wanted.try_number), wanted)])
        _, rows = await self._runs.get(run_id)
        keys = [
            StepKey(run_id=row.carried_from or run_id, step=row.name, try_=max(row.try_number, row.phase_try))
            for row in rows
        ]
        keys = [key for key in keys if key.try_ > 0]
        if len(keys) > MAX_MERGED:
            raise InvalidError(f"run {run_id} has {len(keys)} logs, more than {MAX_MERGED}", hint="read them by step")
        return merge([self._stamped(key, wanted) for key in keys])

    async def _stamped(self, key: StepKey, wanted: LogPart) -> AsyncIterator[StampedRecord]:
        stored = await self.stored(key)
        after = await start_of(self._logs, stored, wanted.tail, wanted.since)
        async for record in stamped(self._logs, stored, after):
            yield replace(record, key=key)

    async def read(self, key: StepKey, after_seq: int) -> AsyncIterator[Sequence[LogRecord]]:
        """The records that there are now after ``after_seq``."""
        async for records in self._logs.read(await self.stored(key), after_seq, follow=False):
            yield records

    async def follow(self, key: StepKey, after_seq: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Records as they come, until the END record; or an END of our own, when none can come any more."""
        stored = await self.stored(key)
        records = self._logs.read(stored, after_seq, follow=True)
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
                if after_seq == 0 and stored == key and (stored := await self.stored(key)) != key:
                    following.cancel()  # its revision was made only now
                    records = self._logs.read(stored, after_seq, follow=True)
                    following = asyncio.ensure_future(anext(records, None))
                    continue
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
        if (stored := await self.stored(key)) != key:
            return LogEnd(True, f"this is the log of {stored} so far, which goes on")
        return LogEnd(False, f"node {row.node_id} has not sent the rest")

    async def start(self, key: StepKey, tail: int | None, since: datetime | None) -> int:
        """The number of the record after which the wanted lines begin."""
        return await start_of(self._logs, await self.stored(key), tail, since)
