"""The log of an instance: those of all its revisions as one, in the order in which the lines were written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from api.services.log_part import StampedRecord, merge, stamped, start_of
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import ConsoleHistory
from gamekeeper.errors import NotFoundError
from gamekeeper.ports.log_store import LogStore

LOOK_SECONDS = 0.5
QUEUED = 5000  # records of a reader that does not keep up; then the reading of the files waits for it
LAST_BYTES = 1024 * 1024  # of a tail at the most: a process need not end its lines
Seen = dict[ContainerKey, int]  # the last record of each log that a reader has
POSITIONS = 10**11  # records of one revision, for positions that name both


@dataclass(frozen=True)
class InstanceLogPart:
    """The lines that a reader wants; ``after`` is the position of the last one that it has."""

    revision: int | None = None
    tail: int | None = None
    since: datetime | None = None
    after: int = 0


def position_of(found: StampedRecord) -> int:
    return _place(found.key) * POSITIONS + found.record.seq


def _place(key: ContainerKey) -> int:
    """The number of a log among those of its instance: the revision's, and 0 of the step whose service it was."""
    return key.revision if isinstance(key, InstanceKey) else 0


@dataclass
class _Live:
    """The logs that are followed, and what has come of them."""

    came: asyncio.Queue[StampedRecord] = field(default_factory=lambda: asyncio.Queue(QUEUED))
    pumps: dict[ContainerKey, asyncio.Task[None]] = field(default_factory=dict)

    async def close(self) -> None:
        for pump in self.pumps.values():
            pump.cancel()
        await asyncio.gather(*self.pumps.values(), return_exceptions=True)


class InstanceLogService:
    def __init__(self, database: Database, logs: LogStore) -> None:
        self._database = database
        self._logs = logs

    async def keys(self, instance_id: str, revision: int | None = None) -> dict[ContainerKey, int]:
        """The logs of the instance, each with its revision. That of a service which was adopted goes on under its step.

        Raises NotFoundError for an instance or a revision that is not there.
        """
        async with self._database.read() as session:
            instances = InstanceRepository(session)
            await instances.get(instance_id)
            numbers = await instances.revision_numbers(instance_id)
            adopted = await instances.adopted(instance_id)
        if revision is not None and revision not in numbers:
            raise NotFoundError(f'instance "{instance_id}" has no revision {revision}')
        found: dict[ContainerKey, int] = {adopted[1]: adopted[0]} if adopted is not None else {}
        found |= {InstanceKey(instance=instance_id, revision=number): number for number in numbers}
        return {key: number for key, number in found.items() if revision in (None, number)}

    async def read(self, instance_id: str, wanted: InstanceLogPart) -> AsyncIterator[StampedRecord]:
        """The lines that there are now. Raises NotFoundError before the first one."""
        keys = await self.keys(instance_id, wanted.revision)
        starts = {key: await self._start(key, wanted, keys) for key in keys}
        found = merge([stamped(self._logs, key, starts[key]) for key in keys])
        return found if wanted.tail is None or wanted.after else _last(found, wanted.tail)

    async def _start(self, key: ContainerKey, wanted: InstanceLogPart, keys: Iterable[ContainerKey]) -> int:
        place, seq = divmod(wanted.after, POSITIONS)
        if not wanted.after:
            return await start_of(self._logs, key, wanted.tail, wanted.since)
        if _place(key) == place:
            return seq
        known = next((other for other in keys if _place(other) == place), None)
        moment = await self._moment(known, seq) if known is not None else None
        return await start_of(self._logs, key, None, moment)

    async def _moment(self, key: ContainerKey, seq: int) -> datetime | None:
        """The time of a record: a reader has what the other logs had before it."""
        async for found in stamped(self._logs, key, max(0, seq - 1)):
            return datetime.fromtimestamp(found.at_ns / 1e9 + 1e-6, UTC)
        return None

    async def follow(self, instance_id: str, wanted: InstanceLogPart) -> AsyncIterator[StampedRecord]:
        """The lines that there are, then those that come, of later revisions as well, until the instance is gone."""
        seen: Seen = {}
        for key in await self.keys(instance_id, wanted.revision):
            seen[key] = (await self._logs.state(key)).last_seq
        live = _Live()
        async for found in await self.read(instance_id, wanted):
            seen[found.key] = max(seen.get(found.key, 0), found.record.seq)
            yield found
        try:
            while await self._look(live, instance_id, wanted, seen):
                with suppress(TimeoutError):
                    while True:
                        yield await asyncio.wait_for(live.came.get(), LOOK_SECONDS)
        finally:
            await live.close()

    async def _look(
        self, live: _Live, instance_id: str, wanted: InstanceLogPart, seen: dict[ContainerKey, int]
    ) -> bool:
        """Follows the revisions that are new. False when the instance is gone."""
        try:
            keys = await self.keys(instance_id, wanted.revision)
        except NotFoundError:
            return False
        for key in keys:
            if key not in live.pumps or await self._goes_on(live.pumps[key], key, seen.get(key, 0)):
                live.pumps[key] = asyncio.create_task(self._pump(live, key, seen))
        return True

    async def _goes_on(self, pump: asyncio.Task[None], key: ContainerKey, after_seq: int) -> bool:
        """True when a revision that had been left writes again."""
        return pump.done() and (await self._logs.state(key)).last_seq > after_seq

    async def _pump(self, live: _Live, key: ContainerKey, seen: Seen) -> None:
        async for records in self._logs.read(key, seen.get(key, 0), follow=True):
            clocks = await self._logs.clocks(key)
            for record in records:
                seen[key] = record.seq
                if record.stream is not LogStream.END:
                    await live.came.put(StampedRecord(clocks.server_ns(record), key, record))

    async def lines_before(
        self, instance_id: str, key: ContainerKey, count: int, history: ConsoleHistory | None
    ) -> bytes:
        """Those of the last ``count`` lines that are shown before a console of ``key`` that begins with ``history``: of
        other revisions, and of an earlier container. Without a history they are the end of the log, as far as it is
        here."""
        before_ns = history.since_ns if history is not None else None
        if before_ns == 0:
            return b""  # the container has more lines than were asked for
        found = await self.read(instance_id, InstanceLogPart(tail=count))
        items = [item async for item in found if item.record.stream is not LogStream.GAP]
        # An update makes the container while the revision before still writes, its last words among all.
        shown = (item for item in items if before_ns is None or item.key != key or item.record.ts_ns < before_ns)
        return b"".join(item.record.data for item in shown)


async def _last(found: AsyncIterator[StampedRecord], count: int) -> AsyncIterator[StampedRecord]:
    """The last lines of several logs, of each of which the last ones are here, as far as they are in the last bytes."""
    kept: deque[StampedRecord] = deque()
    lines = size = 0
    async for item in found:
        kept.append(item)
        lines += _ends_line(item)
        size += len(item.record.data)
        while lines > count or size > LAST_BYTES:
            left = kept.popleft()
            lines -= _ends_line(left)
            size -= len(left.record.data)
    for item in kept:
        yield item


def _ends_line(item: StampedRecord) -> bool:
    return item.record.data.endswith(b"\n") or item.record.stream is LogStream.GAP
