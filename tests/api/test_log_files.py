"""Step logs on the server's disk."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import threading
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from api.logs import files as log_files
from api.logs import newest
from api.logs.files import LogFiles
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.log.log import LogEnd, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import LinePacker
from gamekeeper.domain.log.log_place import LogPlace, NewestLine, digest_of
from gamekeeper.errors import OtherPlaceError, UnavailableError
from tests.factories import make_key
from tests.hang import HANG_SECONDS


def record(seq: int, data: bytes = b"line\n") -> LogRecord:
    return LogRecord(seq, LogStream.STDOUT, seq * 1000, data)


def end(seq: int, complete: bool = True) -> LogRecord:
    return LogRecord(seq, LogStream.END, seq, LogEnd(complete).encode())


def pack(first: int, last: int) -> LogRecord:
    lines = LinePacker()
    for seq in range(first, last + 1):
        lines.add(*record(seq)[1:])
    return lines.record(last)


async def all_of(files: LogFiles, key: StepKey, after: int = 0, follow: bool = False) -> list[LogRecord]:
    return [item async for batch in files.read(key, after, follow=follow) for item in batch]


async def test_what_is_acknowledged_is_read_back_by_another_process(tmp_path: Path) -> None:
    key = make_key()
    assert await LogFiles(tmp_path).append(key, [record(1), record(2, bytes(range(256)))]) == 2
    fresh = LogFiles(tmp_path)
    assert (await fresh.state(key)).last_seq == 2
    assert await all_of(fresh, key) == [record(1), record(2, bytes(range(256)))]


async def test_what_is_acknowledged_has_reached_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut takes what was only written, so each file was synced with all of its bytes when it is told of."""
    synced: dict[str, int] = {}
    fdatasync = os.fdatasync

    def spy(descriptor: int) -> None:
        fdatasync(descriptor)
        synced[os.readlink(f"/proc/self/fd/{descriptor}")] = os.fstat(descriptor).st_size

    monkeypatch.setattr(os, "fdatasync", spy)
    files, key = LogFiles(tmp_path), make_key()
    for last in (2, 4):
        await files.append(key, [record(last - 1), record(last)], clock_offset_ns=last * 5_000_000)
        sizes = {str(path): path.stat().st_size for path in tmp_path.rglob("*.1.*")}
        assert len(sizes) == 2
        assert synced == sizes


async def test_repeats_are_dropped_and_holes_are_not_filled(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path), make_key()
    assert await files.append(key, [record(1), record(2)]) == 2
    assert await files.append(key, [record(2), record(1), record(3)]) == 3
    assert await files.append(key, [record(6), record(5)]) == 3
    assert [item.seq for item in await all_of(files, key)] == [1, 2, 3]


async def test_packed_lines_are_read_one_by_one(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path), make_key()
    assert await files.append(key, [pack(1, 3), pack(4, 9)]) == 9
    assert await files.append(key, [pack(20, 25)]) == 9  # after a hole
    assert await files.append(key, [pack(4, 9), pack(8, 12)]) == 12  # what was sent again ends elsewhere
    assert await files.append(key, [record(13), end(14)]) == 14
    for found in (files, LogFiles(tmp_path)):
        assert await all_of(found, key) == [*(record(seq) for seq in range(1, 14)), end(14)]
        assert [item.seq for item in await all_of(found, key, after=5)] == list(range(6, 15))


async def test_a_gap_record_bridges_what_is_lost(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path), make_key()
    gap = LogRecord(9, LogStream.GAP, 0, b'{"from": 1, "to": 9, "reason": "lost"}')
    assert await files.append(key, [record(10)]) == 0
    assert await files.append(key, [gap, record(10)]) == 10


@pytest.mark.parametrize("tail", [b"\0" * 100, b"\xff" * 7, b""])
async def test_a_torn_tail_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    key = make_key()
    await LogFiles(tmp_path).append(key, [record(1), record(2), record(3)])
    path = next(tmp_path.rglob("*.log"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + tail)
    files = LogFiles(tmp_path)
    assert (await files.state(key)).last_seq == 2
    assert await files.append(key, [record(3), record(4)]) == 4
    assert [item.seq for item in await all_of(LogFiles(tmp_path), key)] == [1, 2, 3, 4]


async def test_following_sees_what_comes_and_ends_with_the_end(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path), make_key()
    await files.append(key, [record(1)])
    reading = asyncio.create_task(all_of(files, key, after=1, follow=True))
    for seq in range(2, 1200):
        await files.append(key, [record(seq)])
    await files.append(key, [end(1200)])
    assert [item.seq for item in await asyncio.wait_for(reading, HANG_SECONDS)] == list(range(2, 1201))
    state = await files.state(key)
    assert state.end == LogEnd(True)


async def test_a_full_disk_is_unavailable_and_recovers(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], check=True)
    try:
        files, key = LogFiles(tmp_path), make_key()
        await files.append(key, [record(1)])
        with pytest.raises(UnavailableError, match="is full"):
            await files.append(key, [record(2, b"x" * 400_000)])
        assert (await files.state(key)).last_seq == 1
        assert await files.append(key, [record(2)]) == 2
        assert [item.seq for item in await all_of(LogFiles(tmp_path), key)] == [1, 2]
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


class Disk:
    """Notes what is on the disk for good: the size of each file, and the folders, when they were synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: dict[str, int] = {}
        self.error: OSError | None = None
        for name in ("fdatasync", "fsync"):
            monkeypatch.setattr(os, name, partial(self._sync, getattr(os, name)))

    def _sync(self, sync: Callable[[int], None], opened: int) -> None:
        if self.error is not None:
            raise self.error
        sync(opened)
        self.synced[os.readlink(f"/proc/self/fd/{opened}")] = os.fstat(opened).st_size


async def test_the_name_of_a_new_log_outlives_a_power_cut_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, key, disk = LogFiles(tmp_path / "logs"), make_key(), Disk(monkeypatch)
    assert await files.append(key, [record(1)]) == 1
    path = next(tmp_path.rglob("*.log"))
    assert {str(path.parent), str(path.parent.parent)} < disk.synced.keys()


async def test_what_the_disk_did_not_take_is_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, key, disk = LogFiles(tmp_path), make_key(), Disk(monkeypatch)
    assert await files.append(key, [record(1)]) == 1
    disk.error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(UnavailableError, match="Input/output error"):
        await files.append(key, [record(2)])
    assert (await files.state(key)).last_seq == 1
    disk.error = None
    assert await files.append(key, [record(2), record(3)]) == 3
    assert [item.seq for item in await all_of(LogFiles(tmp_path), key)] == [1, 2, 3]


async def test_the_clock_of_each_part_is_kept(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path), make_key()
    await files.append(key, [record(1)], 5_000_000)
    await files.append(key, [record(2)], 5_000_400)  # as good as the same
    await files.append(key, [record(3)], -7_000_000)
    for found in (files, LogFiles(tmp_path)):
        clocks = await found.clocks(key)
        assert [clocks.offset_ns(seq) for seq in (1, 2, 3, 9)] == [5_000_000, 5_000_000, -7_000_000, -7_000_000]
        assert clocks.server_ns(record(3)) == 7_003_000
    with next(tmp_path.rglob("*.clock")).open("ab") as file:
        file.write(b"torn")
    again = LogFiles(tmp_path)
    await again.append(key, [record(4)], 0)
    assert (await LogFiles(tmp_path).clocks(key)).offset_ns(4) == 0


async def test_the_end_is_waited_for(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path), make_key()
    waiting = asyncio.create_task(files.wait_for_end(key))
    await files.append(key, [record(1)])
    assert not waiting.done()
    await files.append(key, [end(2)])
    await asyncio.wait_for(waiting, HANG_SECONDS)
    await asyncio.wait_for(LogFiles(tmp_path).wait_for_end(key), HANG_SECONDS)


async def test_a_write_whose_sender_goes_is_not_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender's stream breaks in the middle of the write, and it sends the same again: a killed agent does."""
    files, key = LogFiles(tmp_path), make_key()
    begun, written, go_on, write = asyncio.Event(), asyncio.Event(), threading.Event(), log_files._write
    loop = asyncio.get_running_loop()

    def slow_write(*arguments: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(10)
        write(*arguments)
        loop.call_soon_threadsafe(written.set)

    monkeypatch.setattr(log_files, "_write", slow_write)
    first = asyncio.create_task(files.append(key, [record(1), record(2)]))
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    await asyncio.wait_for(written.wait(), HANG_SECONDS)
    assert await files.append(key, [record(1), record(2), record(3)]) == 3
    for found in (files, LogFiles(tmp_path)):
        assert [item.seq for item in await all_of(found, key)] == [1, 2, 3]
    assert next(tmp_path.rglob("*.log")).stat().st_size == sum(25 + len(record(seq).data) for seq in (1, 2, 3))


async def test_a_record_that_an_older_version_wrote_twice_is_read_once(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path), make_key()
    await files.append(key, [record(1), record(2)])
    path = next(tmp_path.rglob("*.log"))
    path.write_bytes(path.read_bytes() * 2)
    fresh = LogFiles(tmp_path)
    assert await fresh.append(key, [record(3)]) == 3
    assert [item.seq for item in await all_of(fresh, key)] == [1, 2, 3]


async def test_where_a_log_stands_is_read_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are kept only behind the number that the sender thinks the last one."""
    monkeypatch.setattr(newest, "TAIL_BYTES", 300)
    files, key = LogFiles(tmp_path), make_key()
    assert await files.place(key) == LogPlace(0)
    for first in range(1, 100, 10):
        assert await files.append(key, [pack(first, first + 9)], follows=first - 1) == first + 9
    with pytest.raises(OtherPlaceError):
        await files.append(key, [record(101)], follows=99)
    line = NewestLine(100, LogStream.STDOUT, 100_000, 1, 100_000, zlib.crc32(b"line\n"), 1000)
    assert await files.place(key) == LogPlace(100, False, digest_of(pack(91, 100)), line)
    await files.append(key, [end(101)])
    assert await LogFiles(tmp_path).place(key) == LogPlace(101, True, digest_of(end(101)), line)
