"""LogStore on files: append-only files for each log, so that what is kept can be counted after any crash.

The file format is in ``format``, the segments of long logs in ``segments``, what is known of a log in ``open_log``.
Beside a log lies a file of the sender's clock: a record (seq, offset) for each time that its offset had moved. Nobody
fills the disk with them: a run's logs end at their quota (``cut``), an instance's lose their oldest (``oldest``), both
with the loss on record, and a node over its own is held back (``usage``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from api.logs.cut import Cut, cut
from api.logs.format import CLOCK_BYTES, LostFileError, encode, write_at, write_clock
from api.logs.newest import read_place
from api.logs.oldest import OldestLines
from api.logs.open_log import DROPPED, OpenLog, OpenLogs, end_of
from api.logs.segments import place_of, read_batch
from api.logs.usage import FILE_BYTES, LogFolder, LogLimits, LogUsage
from api.logs.writer import OneWriter
from gamekeeper.disk import DiskFloor
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.log.log import LogClocks, LogEnd, LogGap, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import first_seq
from gamekeeper.domain.log.log_place import LogPlace
from gamekeeper.errors import InvalidError, OtherPlaceError, QuotaError
from gamekeeper.ports.log_store import LogState
from gamekeeper.uncancelled import uncancelled

_CLOCK_MOVED_NS = 1_000_000
NOTE_BYTES = 16 * 1024 * 1024  # of a run beyond its quota, for the records of what is missing


class LogFiles:
    """Files below ``root``: ``<run>/<step>.<try>.log`` and ``instances/<instance>/<revision>.log``.

    One process writes them. None of them is written while the disk has less room than ``floor``.
    """

    def __init__(self, root: Path, limits: LogLimits | None = None, floor: DiskFloor | None = None) -> None:
        self.root = root
        self.usage = LogUsage(limits or LogLimits())
        self.cuts: list[tuple[StepKey, str]] = []  # of runs that are newly over their quota, with the node
        self._floor = floor
        self._writer = OneWriter(root)
        self._logs = OpenLogs(root, self._writer)
        self._oldest = OldestLines(root, self._logs, self.usage, floor)

    async def append(
        self,
        key: ContainerKey,
        records: Sequence[LogRecord],
        clock_offset_ns: int = 0,
        node: str = "",
        follows: int | None = None,
    ) -> int:
        return await uncancelled(self._append(key, records, clock_offset_ns, node, follows))

    async def _append(
        self, key: ContainerKey, records: Sequence[LogRecord], clock_offset_ns: int, node: str, follows: int | None
    ) -> int:
        self._writer.check()
        log = await self._logs.get(key)
        async with log.lock:
            if follows is not None and follows != log.last_seq:
                raise OtherPlaceError(f"the log of {key} stands at {log.last_seq} and not at {follows}")
            fresh = _contiguous(log.last_seq, records)
            if fresh:
                self._check_disk()
                try:
                    fitting = await self._fit(log, fresh, node)
                    await self._keep(log, fitting, clock_offset_ns, node)
                except LostFileError:
                    await self._look_again(log, node)
                    raise
                if fitting.dropped_bytes:
                    self._note_cut(log, node)
                log.last_seq, log.end = fresh[-1].seq, end_of(fitting.records[-1])
                async with log.grown:
                    log.grown.notify_all()
            return log.last_seq

    def held_back(self, node: str) -> str:
        return self.usage.held.get(node, "")

    def _check_disk(self) -> None:
        if self._floor is not None and (trouble := self._floor.trouble()):
            raise QuotaError(f"logs are not taken now: {trouble}", after_seconds=10.0, code="disk_full")

    async def _fit(self, log: OpenLog, fresh: Sequence[LogRecord], node: str) -> Cut:
        """The records as they are to be written within the quotas. Raises QuotaError for a node that is over its own,
        InvalidError for a new log of a run that is so far over its own that not even the loss is noted."""
        limits, folder = self.usage.limits, log.folder
        if isinstance(log.key, InstanceKey):
            fitting = Cut(log.size, fresh)
            if log.size - log.segments[-1].start >= limits.segment_bytes:
                await self._oldest.begin_segment(log, node)
            await self._oldest.make_room(log, fitting.size, node)
        else:
            fitting = cut(log.size, log.last_seq, log.open_gap, fresh, limits.run_bytes - folder.bytes)
            if log.size == 0 and folder.bytes > max(limits.run_bytes, folder.found_bytes) + NOTE_BYTES:
                self._note_cut(log, node)
                raise InvalidError("the logs of the run are far over their quota", hint="GAMEKEEPER_LOG_RUN_BYTES")
        self.usage.check_node(node, fitting.size)
        return fitting

    def _note_cut(self, log: OpenLog, node: str) -> None:
        if isinstance(log.key, StepKey) and not log.folder.is_cut:
            log.folder.is_cut = True
            self.cuts.append((log.key, node))

    async def _keep(self, log: OpenLog, fitting: Cut, clock_offset_ns: int, node: str) -> None:
        first = log.last_seq + 1
        if fitting.keeps and abs(clock_offset_ns - log.clocks.offset_ns(first)) > _CLOCK_MOVED_NS:
            before, log.clocks = (
                log.clocks.marks,
                await asyncio.to_thread(write_clock, log.path, log.clocks, first, clock_offset_ns),
            )
            size = CLOCK_BYTES * (len(log.clocks.marks) - len(before)) + (0 if before else FILE_BYTES)
            self.usage.charge(log.folder, node, size)
        size = log.size
        segment = log.segments[-1]
        await asyncio.to_thread(_write, log, fitting)
        log.open_gap = fitting.open_gap
        self.usage.dropped["newest"] += fitting.dropped_bytes
        sizes = log.folder.sizes.setdefault(log.path.name, {})
        is_new = segment.first_seq not in sizes
        sizes[segment.first_seq] = log.size - segment.start
        self.usage.charge(log.folder, node, log.size - size + (FILE_BYTES if is_new else 0))

    async def _look_again(self, log: OpenLog, node: str) -> None:
        """Somebody has removed or cut its files: the sender goes on behind what is left, and records the loss."""
        found = await asyncio.to_thread(LogFolder.look, log.folder.path)
        self.usage.charge(log.folder, node, found.bytes - log.folder.bytes)
        log.folder.sizes = found.sizes
        self._logs.forget(log)

    async def drop_oldest(self, key: ContainerKey, node: str) -> None:
        """Drops the oldest segment of a log of that node. Raises UnavailableError while another process writes."""
        self._writer.check()
        log = await self._logs.get(key)
        async with log.lock:
            await self._oldest.drop(log, node)

    async def state(self, key: ContainerKey) -> LogState:
        return (await self._logs.get(key)).state

    async def place(self, key: ContainerKey) -> LogPlace:
        log = await self._logs.get(key)
        async with log.lock:
            if log.place is None or log.place.last_seq != log.last_seq:
                log.place = await asyncio.to_thread(read_place, log.segments, log.last_seq, log.end is not None)
            return log.place

    async def wait_for_end(self, key: ContainerKey) -> None:
        log = await self._logs.get(key)
        async with log.grown:
            while log.end is None:
                await log.grown.wait()

    async def clocks(self, key: ContainerKey) -> LogClocks:
        return (await self._logs.get(key)).clocks

    async def read(self, key: ContainerKey, after_seq: int, *, follow: bool) -> AsyncIterator[Sequence[LogRecord]]:
        log = await self._logs.get(key)
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
            if place < log.size or seen < log.segments[0].first_seq - 1:
                continue
            if (end := log.end) is not None and seen < log.last_seq:  # of a log that is a line of ``dropped`` alone
                yield [_truthful(LogRecord(log.last_seq, LogStream.END, 0, end.encode()), log.lacks_oldest)]
            if not follow or end is not None:
                return
            async with log.grown:
                while place >= log.size:
                    await log.grown.wait()


def _contiguous(last_seq: int, records: Sequence[LogRecord]) -> list[LogRecord]:
    fresh: list[LogRecord] = []
    for record in sorted(records, key=lambda record: record.seq):
        if record.seq > last_seq and first_seq(record) <= last_seq + 1:
            fresh.append(record)
            last_seq = record.seq
    return fresh


def _write(log: OpenLog, fitting: Cut) -> None:
    segment, data = log.segments[-1], encode(fitting.records)
    write_at(segment.path, fitting.place - segment.start, data)
    log.size = fitting.place + len(data)


def _missing(first: int, last: int, following: Sequence[LogRecord]) -> LogRecord:
    ts_ns = following[0].ts_ns if following else 0
    return LogRecord(last, LogStream.GAP, ts_ns, LogGap(first, last, DROPPED).encode())


def _truthful(record: LogRecord, lacks_oldest: bool) -> LogRecord:
    """The end of a log whose oldest lines are gone does not call it complete."""
    if lacks_oldest and (end := end_of(record)) is not None and end.complete:
        return record._replace(data=LogEnd(False, DROPPED).encode())
    return record
