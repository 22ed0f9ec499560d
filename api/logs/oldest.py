"""Makes room by the oldest lines of a log: of an instance for its newer ones, and of anybody for those of its node.

What is dropped is a whole segment. The next one is on the disk before, and its name tells for ever what is missing
before it, so a kill at any moment leaves the lines or the record of their loss.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from api.logs.dropped import note_dropped
from api.logs.format import CLOCK_BYTES, drop_clocks, keep_clocks, write_at
from api.logs.open_log import OpenLog, OpenLogs
from api.logs.segments import Segment, copy_tail, segment_path
from api.logs.usage import FILE_BYTES, LogUsage
from gamekeeper.disk import DiskFloor
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.log.log import LogClocks


class OldestLines:
    """Its callers hold the lock of the log."""

    def __init__(self, root: Path, logs: OpenLogs, usage: LogUsage, floor: DiskFloor | None) -> None:
        self._root = root
        self._logs = logs
        self._usage = usage
        self._floor = floor

    async def make_room(self, writes: OpenLog, size: int, node: str) -> None:
        """Drops the oldest segments of an instance, one revision of which ``writes``, for ``size`` more bytes, as far
        as there are any."""
        folder = writes.folder
        wanted = folder.bytes - self._usage.to_free(folder, node, size)
        while folder.bytes > wanted and (oldest := folder.oldest(writes.path.name)) is not None:
            number = int(oldest.partition(".")[0])
            log = await self._logs.get(InstanceKey(instance=folder.path.name, revision=number))
            await self._divide(log, folder.bytes - wanted, node)
            if not await self.drop(log, node):
                return

    async def _divide(self, log: OpenLog, to_free: int, node: str) -> None:
        """Keeps the newer part of a segment that is longer than ours are, as the whole log in one file was before they
        were. A quarter of the quota more is left out of it, or it would be copied again for each new segment. On a disk
        without room for the copy all of it goes."""
        limits, segment, sizes = self._usage.limits, log.segments[0], log.folder.sizes[log.path.name]
        keep = sizes[segment.first_seq] - to_free - limits.instance_bytes // 4
        if sizes[segment.first_seq] <= 2 * limits.segment_bytes or keep < limits.segment_bytes:
            return
        if self._floor is not None and self._floor.trouble(keep):
            return
        copied = await asyncio.to_thread(copy_tail, log.path, segment, keep)
        if copied is not None:
            tail, length = copied
            log.segments = (segment, tail, *log.segments[1:])
            sizes[tail.first_seq] = length
            self._usage.charge(log.folder, node, length + FILE_BYTES)

    async def drop(self, log: OpenLog, node: str) -> bool:
        """Drops the first segment; False where there is none. What is left of the last one is a line."""
        folder, dropped = log.folder, log.segments[0]
        sizes = folder.sizes.get(log.path.name, {})
        if dropped.first_seq not in sizes:
            return False
        is_last = len(log.segments) == 1
        if is_last:
            await asyncio.to_thread(note_dropped, self._root, log.key, log.last_seq, log.end)
            first = log.last_seq if log.end is not None else log.last_seq + 1
            log.segments = (dropped, Segment(segment_path(log.path, first), first, log.size))
            log.open_gap = None
        log.segments = log.segments[1:]
        size = sizes.pop(dropped.first_seq)
        self._usage.charge(folder, node, -size - FILE_BYTES)
        self._usage.dropped["oldest"] += size
        await asyncio.to_thread(dropped.path.unlink, missing_ok=True)
        await self._drop_clocks(log, node, is_last)
        return True

    async def _drop_clocks(self, log: OpenLog, node: str, is_last: bool) -> None:
        """The marks of lines that are gone are of no use."""
        before = len(log.clocks.marks)
        if is_last:
            await asyncio.to_thread(_remove_rest, log.path)
            log.clocks = LogClocks()
        else:
            log.clocks = await asyncio.to_thread(keep_clocks, log.path, log.clocks, log.segments[0].first_seq)
        size = (len(log.clocks.marks) - before) * CLOCK_BYTES - (FILE_BYTES if before and is_last else 0)
        self._usage.charge(log.folder, node, size)

    async def begin_segment(self, log: OpenLog, node: str) -> None:
        """Its file is there before anything is dropped for it: without its name the log would begin anew."""
        first = log.last_seq + 1
        path = segment_path(log.path, first)
        await asyncio.to_thread(write_at, path, 0, b"")
        log.segments = (*log.segments, Segment(path, first, log.size))
        log.folder.sizes.setdefault(log.path.name, {})[first] = 0
        self._usage.charge(log.folder, node, FILE_BYTES)


def _remove_rest(log: Path) -> None:
    drop_clocks(log)
    with suppress(OSError):  # other logs are in it
        log.parent.rmdir()
