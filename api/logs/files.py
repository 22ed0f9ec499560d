"""LogStore on files: append-only files for each log, so that what is kept can be counted after any crash.

The file format is in ``format``, the segments of long logs in ``segments``. Beside a log lies a file of the
sender's clock: a record (seq, offset) for each time that its offset had moved. Nobody fills the disk with them: a run's
logs end at their quota, an instance's lose their oldest, both with the loss on record, and a node over its own is held
back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from api.logs.cut import Cut, OpenGap, cut
from api.logs.format import CLOCK_BYTES, encode, read_clocks, records_of, write_at, write_clock
from api.logs.segments import Segment, copy_tail, place_of, read_batch, segment_path
from api.logs.usage import FILE_BYTES, INSTANCES, LogFolder, LogLimits, LogUsage
from gamekeeper.disk import DiskFloor
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.log.log import LogClocks, LogEnd, LogGap, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import first_seq
from gamekeeper.errors import InvalidError, QuotaError
from gamekeeper.ports.log_store import LogState
from gamekeeper.uncancelled import uncancelled

_CLOCK_MOVED_NS = 1_000_000
NOTE_BYTES = 16 * 1024 * 1024  # of a run beyond its quota, for the records of what is missing
DROPPED = "the oldest lines made room for newer ones (GAMEKEEPER_LOG_INSTANCE_BYTES, GAMEKEEPER_LOG_NODE_BYTES)"


@dataclass
class _OpenLog:
    """A log that is being written or followed. ``size`` is the place behind its good bytes."""

    path: Path
    folder: LogFolder
    segments: tuple[Segment, ...]
    size: int
    last_seq: int
    end: LogEnd | None
    open_gap: OpenGap | None
    clocks: LogClocks
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    grown: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def is_instance(self) -> bool:
        return self.path.parent.parent.name == INSTANCES

    @property
    def lacks_oldest(self) -> bool:
        return self.segments[0].first_seq > 1

    @property
    def state(self) -> LogState:
        end = self.end
        if end is not None and end.complete and self.lacks_oldest:
            end = LogEnd(False, DROPPED)
        return LogState(self.last_seq, end)


class LogFiles:
    """Files below ``root``: ``<run>/<step>.<try>.log`` and ``instances/<instance>/<revision>.log``.

    One process writes them. None of them is written while the disk has less room than ``floor``.
    """

    def __init__(self, root: Path, limits: LogLimits | None = None, floor: DiskFloor | None = None) -> None:
        self.root = root
        self.usage = LogUsage(limits or LogLimits())
        self._floor = floor
        self.cuts: list[tuple[StepKey, str]] = []  # of runs that are newly over their quota, with the node
        self._open: dict[ContainerKey, _OpenLog] = {}
        self._folders: WeakValueDictionary[Path, LogFolder] = WeakValueDictionary()

    async def append(
        self, key: ContainerKey, records: Sequence[LogRecord], clock_offset_ns: int = 0, node: str = ""
    ) -> int:
        return await uncancelled(self._append(key, records, clock_offset_ns, node))

    async def _append(self, key: ContainerKey, records: Sequence[LogRecord], clock_offset_ns: int, node: str) -> int:
        log = await self._log(key)
        async with log.lock:
            fresh = _contiguous(log.last_seq, records)
            if fresh:
                self._check_disk()
                fitting = await self._fit(log, fresh, node)
                await self._keep(log, fitting, clock_offset_ns, node)
                if isinstance(key, StepKey) and fitting.dropped_bytes and not log.folder.is_cut:
                    log.folder.is_cut = True
                    self.cuts.append((key, node))
                log.last_seq, log.end = fresh[-1].seq, _end_of(fitting.records[-1])
                async with log.grown:
                    log.grown.notify_all()
            return log.last_seq

    def held_back(self, node: str) -> str:
        return self.usage.held.get(node, "")

    def _check_disk(self) -> None:
        if self._floor is not None and (trouble := self._floor.trouble()):
            raise QuotaError(f"logs are not taken now: {trouble}", after_seconds=10.0, code="disk_full")

    async def _fit(self, log: _OpenLog, fresh: Sequence[LogRecord], node: str) -> Cut:
        """The records as they are to be written within the quotas. Raises QuotaError for a node that is over its own,
        InvalidError for a run that is so far over its own that not even the loss is noted."""
        limits = self.usage.limits
        if log.is_instance:
            fitting = Cut(log.size, fresh)
            if log.size - log.segments[-1].start >= limits.segment_bytes:
                self._begin_segment(log, log.last_seq + 1, 0, node)
            await self._make_room(log, fitting.size, node)
        else:
            fitting = cut(log.size, log.open_gap, fresh, limits.run_bytes - log.folder.bytes)
            if log.folder.bytes > limits.run_bytes + NOTE_BYTES:
                raise InvalidError("the logs of the run are far over their quota", hint="GAMEKEEPER_LOG_RUN_BYTES")
        self.usage.check_node(node, fitting.size)
        return fitting

    async def _keep(self, log: _OpenLog, fitting: Cut, clock_offset_ns: int, node: str) -> None:
        first = log.last_seq + 1
        if abs(clock_offset_ns - log.clocks.offset_ns(first)) > _CLOCK_MOVED_NS:
            log.clocks = await asyncio.to_thread(write_clock, log.path, log.clocks, first, clock_offset_ns)
            self.usage.charge(log.folder, node, CLOCK_BYTES + (0 if log.clocks.marks[1:] else FILE_BYTES))
        before = log.size
        segment = log.segments[-1]
        await asyncio.to_thread(_write, log, fitting)
        log.open_gap = fitting.open_gap
        self.usage.dropped["newest"] += fitting.dropped_bytes
        sizes = log.folder.sizes.setdefault(log.path.name, {})
        is_new = segment.first_seq not in sizes
        sizes[segment.first_seq] = log.size - segment.start
        self.usage.charge(log.folder, node, log.size - before + (FILE_BYTES if is_new else 0))

    async def _make_room(self, log: _OpenLog, size: int, node: str) -> None:
        """Drops the oldest segments of an instance for ``size`` more bytes, as far as there are any."""
        folder = log.folder
        async with folder.lock:
            wanted = folder.bytes - self.usage.to_free(folder, node, size)
            while folder.bytes > wanted:
                oldest = folder.oldest(log.path.name)
                if oldest is None:
                    return
                key = InstanceKey(instance=folder.path.name, revision=int(oldest[0].partition(".")[0]))
                await self._divide(key, folder, oldest, folder.bytes - wanted, node)
                if not await self._drop(key, folder, oldest, node):
                    return

    async def _divide(
        self, key: ContainerKey, folder: LogFolder, oldest: tuple[str, int], to_free: int, node: str
    ) -> None:
        """Keeps the newer part of a segment that is longer than ours are, as the whole log in one file was before they
        were. A quarter of the quota more is left out of it, or it would be copied again for each new segment."""
        limits, size = self.usage.limits, folder.sizes[oldest[0]][oldest[1]]
        keep = size - to_free - limits.instance_bytes // 4
        log = await self._log(key)
        is_being_written = len(log.segments) == 1 and log.lock.locked()
        if size <= 2 * limits.segment_bytes or keep < limits.segment_bytes or is_being_written:
            return
        copied = await asyncio.to_thread(copy_tail, log.path, log.segments[0], keep)
        if copied is not None:
            segment, length = copied
            log.segments = (log.segments[0], segment, *log.segments[1:])
            folder.sizes[oldest[0]][segment.first_seq] = length
            self.usage.charge(folder, node, length + FILE_BYTES)

    async def drop_oldest(self, key: ContainerKey, node: str) -> None:
        """Drops the oldest segment of a log of that node, unless it is being written."""
        path = self.root / _place(key)
        folder = await self._folder(path.parent)
        async with folder.lock:
            if sizes := folder.sizes.get(path.name):
                await self._drop(key, folder, (path.name, min(sizes)), node)

    async def _drop(self, key: ContainerKey, folder: LogFolder, oldest: tuple[str, int], node: str) -> bool:
        """The name of the next segment then tells what is missing; behind the last one an empty one, or one with
        the log's end alone, is begun for that."""
        name, first = oldest
        log = await self._log(key)
        if len(log.segments) == 1:
            if log.lock.locked():
                return False
            async with log.lock:
                await self._begin_anew(log, node)
        dropped, log.segments = log.segments[0], log.segments[1:]
        await asyncio.to_thread(dropped.path.unlink, missing_ok=True)
        size = folder.sizes[name].pop(first)
        self.usage.charge(folder, node, -size - FILE_BYTES)
        self.usage.dropped["oldest"] += size
        return True

    async def _begin_anew(self, log: _OpenLog, node: str) -> None:
        end = [LogRecord(log.last_seq, LogStream.END, 0, log.end.encode())] if log.end is not None else []
        first = log.last_seq if end else log.last_seq + 1
        data = encode(end)
        await asyncio.to_thread(write_at, segment_path(log.path, first), 0, data)
        self._begin_segment(log, first, len(data), node)
        log.size += len(data)
        log.open_gap = None

    def _begin_segment(self, log: _OpenLog, first: int, size: int, node: str) -> None:
        log.segments = (*log.segments, Segment(segment_path(log.path, first), first, log.size))
        log.folder.sizes[log.path.name][first] = size
        self.usage.charge(log.folder, node, size + FILE_BYTES)

    async def state(self, key: ContainerKey) -> LogState:
        return (await self._log(key)).state

    async def wait_for_end(self, key: ContainerKey) -> None:
        log = await self._log(key)
        async with log.grown:
            while log.end is None:
                await log.grown.wait()

    async def clocks(self, key: ContainerKey) -> LogClocks:
        return (await self._log(key)).clocks

    async def read(self, key: ContainerKey, after_seq: int, *, follow: bool) -> AsyncIterator[Sequence[LogRecord]]:
        log = await self._log(key)
        place, seen = place_of(log.segments, after_seq), after_seq
        while True:
            place = max(place, log.segments[0].start)
            missing_to = log.segments[0].first_seq - 1
            batch, place = await asyncio.to_thread(read_batch, log.segments, place, log.size, max(seen, missing_to))
            if seen < missing_to:
                batch.insert(0, _missing(seen + 1, missing_to, batch))
            if batch:
                seen = batch[-1].seq
                yield [*batch[:-1], _truthful(batch[-1], log.lacks_oldest)]
            if place < log.size:
                continue
            if not follow or log.end is not None:
                return
            async with log.grown:
                while place >= log.size:
                    await log.grown.wait()

    async def _log(self, key: ContainerKey) -> _OpenLog:
        if key not in self._open:
            path = self.root / _place(key)
            folder = await self._folder(path.parent)
            opened = await asyncio.to_thread(_recover, path, folder)
            self._open.setdefault(key, opened)
            self._forget_old()
        return self._open[key]

    async def _folder(self, path: Path) -> LogFolder:
        if (known := self._folders.get(path)) is not None:
            return known
        found = await asyncio.to_thread(LogFolder.look, path)
        return self._folders.setdefault(path, found)

    def _forget_old(self) -> None:
        """Closed logs need no place in memory; reading one again costs one pass over its file."""
        if len(self._open) > 5000:
            for key in [key for key, log in self._open.items() if log.end and not log.lock.locked()][:2500]:
                del self._open[key]


def _place(key: ContainerKey) -> str:
    if isinstance(key, InstanceKey):
        return f"{INSTANCES}/{key.instance}/{key.revision}.log"
    return f"{key.run_id}/{key.step}.{key.try_}.log"


def _contiguous(last_seq: int, records: Sequence[LogRecord]) -> list[LogRecord]:
    fresh: list[LogRecord] = []
    for record in sorted(records, key=lambda record: record.seq):
        if record.seq > last_seq and first_seq(record) <= last_seq + 1:
            fresh.append(record)
            last_seq = record.seq
    return fresh


def _write(log: _OpenLog, fitting: Cut) -> None:
    segment, data = log.segments[-1], encode(fitting.records)
    write_at(segment.path, fitting.place - segment.start, data)
    log.size = fitting.place + len(data)


def _recover(path: Path, folder: LogFolder) -> _OpenLog:
    """A log by the good records of its last segment: those before it were whole when it was begun."""
    segments, start = [], 0
    for first, size in sorted((folder.sizes.get(path.name) or {1: 0}).items()):
        segments.append(Segment(segment_path(path, first), first, start))
        start += size
    last = segments[-1]
    found = _OpenLog(path, folder, tuple(segments), last.start, last.first_seq - 1, None, None, read_clocks(path))
    if last.path.exists():
        with open(last.path, "rb") as file:
            for record, end in records_of(file, 0):
                found.open_gap = OpenGap.of(found.size, record)
                found.last_seq, found.end = max(record.seq, found.last_seq), _end_of(record)
                found.size = last.start + end
    return found


def _end_of(newest: LogRecord) -> LogEnd | None:
    """The end that its newest record gives a log. One that goes on behind an end, in a new container of its instance,
    has none any more."""
    return LogEnd.decode(newest.data) if newest.stream is LogStream.END else None


def _missing(first: int, last: int, following: Sequence[LogRecord]) -> LogRecord:
    ts_ns = following[0].ts_ns if following else 0
    return LogRecord(last, LogStream.GAP, ts_ns, LogGap(first, last, DROPPED).encode())


def _truthful(record: LogRecord, lacks_oldest: bool) -> LogRecord:
    """The end of a log whose oldest lines are gone does not call it complete."""
    if lacks_oldest and (end := _end_of(record)) is not None and end.complete:
        return record._replace(data=LogEnd(False, DROPPED).encode())
    return record
