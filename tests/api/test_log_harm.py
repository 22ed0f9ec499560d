"""Harm that hostile nodes, kills, two processes and operators do to logs: a line is kept, or its loss is on record."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from api.grpc.log_intake import LogIntake
from api.logs import files as log_files
from api.logs import oldest, open_log, segments
from api.logs.cut import OVER
from api.logs.files import LogFiles
from api.logs.open_log import DROPPED
from api.logs.usage import FILE_BYTES, LogLimits
from gamekeeper.disk import DiskFloor
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.log.log import LogEnd, LogRecord, LogStream
from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.rpc.convert import key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.api.test_log_quotas import KIB, SMALL, all_of, covered, end, gaps_of, pack, taken
from tests.factories import make_key
from tests.hang import HANG_SECONDS

OLD, NEW = (InstanceKey(instance="arena", revision=number) for number in (1, 2))


def step(number: int) -> StepKey:
    return StepKey(run_id=f"{number:016x}", step="work", try_=1)


async def fill(files: LogFiles, key: ContainerKey, first: int, last: int, node: str = "") -> None:
    for seq in range(first, last, 2):
        assert await files.append(key, [pack(seq, 2)], node=node) == seq + 1


async def is_refused(files: LogFiles, key: ContainerKey) -> bool:
    with suppress(InvalidError):
        await files.append(key, [pack(1, 1)])
        return False
    return True


async def test_logs_that_nobody_uses_take_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node makes logs up, and a user looks at those that never were. None of them has an end."""
    monkeypatch.setattr(open_log, "KEPT", 10)
    files = LogFiles(tmp_path)
    followed = asyncio.create_task(all_of(files, step(0), follow=True))
    await files.append(step(0), [pack(1, 1)])
    for number in range(1, 60):
        await files.append(step(number), [pack(1, 1)])
        await files.state(step(1000 + number))
    gc.collect()
    assert len(files._logs._logs) <= 11
    assert len(files._logs._folders) <= 11
    await files.append(step(0), [pack(2, 1), end(3)])
    assert covered(await asyncio.wait_for(followed, HANG_SECONDS)) == [1, 2, 3]
    assert await files.append(step(1), [pack(2, 1)]) == 2


async def test_lines_that_come_while_their_log_is_divided_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(LogFiles(tmp_path), OLD, 1, 401)
    files = LogFiles(tmp_path, SMALL)
    copying, go_on, copy = asyncio.Event(), threading.Event(), segments.copy_tail
    loop = asyncio.get_running_loop()

    def slow_copy(*arguments: Any) -> Any:
        loop.call_soon_threadsafe(copying.set)
        copied = copy(*arguments)
        assert go_on.wait(HANG_SECONDS)
        return copied

    monkeypatch.setattr(oldest, "copy_tail", slow_copy)
    newer = asyncio.create_task(files.append(NEW, [pack(1, 2)]))
    await asyncio.wait_for(copying.wait(), HANG_SECONDS)
    late = [asyncio.create_task(files.append(OLD, [pack(401, 2), pack(403, 2)])) for _ in range(3)]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.wait_for(newer, HANG_SECONDS) == 2
    assert [await asyncio.wait_for(each, HANG_SECONDS) for each in late] == [404] * 3
    for found in (files, LogFiles(tmp_path, SMALL)):
        records = await all_of(found, OLD)
        assert covered(records) == list(range(1, 405))
        assert [record.seq for record in records][-4:] == [401, 402, 403, 404]


async def test_a_copy_that_is_broken_off_passes_for_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = LogFiles(tmp_path)
    await fill(before, OLD, 1, 401)
    await before.append(OLD, [end(401)])
    fsync = os.fsync

    def full(opened: int) -> None:
        if os.readlink(f"/proc/self/fd/{opened}").endswith(".new"):
            raise OSError(28, "No space left on device")
        fsync(opened)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnavailableError, match="is full"):
        await LogFiles(tmp_path, SMALL).append(NEW, [pack(1, 2)])
    monkeypatch.undo()
    (tmp_path / "instances" / "arena" / "1.new").write_bytes(b"what a kill left")
    after = LogFiles(tmp_path, SMALL)
    assert (await after.state(OLD)).end == LogEnd(True)
    assert (await after.state(OLD)).last_seq == 401
    assert await after.append(NEW, [pack(1, 2)]) == 2
    assert covered(await all_of(after, OLD)) == list(range(1, 402))
    assert list(tmp_path.rglob("*.new")) == []


async def test_a_disk_without_room_for_a_copy_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(LogFiles(tmp_path), OLD, 1, 401)
    monkeypatch.setattr(DiskFloor, "trouble", lambda _, more=0: "nearly full" if more else "")
    monkeypatch.delattr(oldest, "copy_tail")
    files = LogFiles(tmp_path, SMALL, DiskFloor([tmp_path], 0))
    assert await files.append(NEW, [pack(1, 2)]) == 2
    assert [gap.reason for gap in gaps_of(await all_of(files, OLD))] == [DROPPED]


async def test_a_write_that_fails_behind_dropped_lines_leaves_the_number_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = LogLimits(run_bytes=10**9, instance_bytes=16 * KIB, node_bytes=10**9)
    await fill(LogFiles(tmp_path), OLD, 1, 41)
    files = LogFiles(tmp_path, limits)

    def full(*_: Any) -> None:
        raise UnavailableError("the disk is full")

    monkeypatch.setattr(log_files, "_write", full)
    with pytest.raises(UnavailableError):
        await files.append(OLD, [pack(41, 10)])
    monkeypatch.undo()
    after = LogFiles(tmp_path, limits)
    assert (await after.state(OLD)).last_seq == 40
    assert await after.append(OLD, [pack(41, 10)]) == 50
    records = await all_of(after, OLD)
    assert covered(records) == list(range(1, 51))
    assert {gap.reason for gap in gaps_of(records)} == {DROPPED}


async def test_marks_of_a_clock_that_wanders_take_no_room_for_ever(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, SMALL)
    for seq in range(1, 6001, 2):
        await files.append(OLD, [pack(seq, 2)], clock_offset_ns=seq * 5_000_000, node="n")
    assert len(await all_of(files, OLD)) > 20
    assert (tmp_path / "instances" / "arena" / "1.clock").stat().st_size < 3000
    assert files.usage.nodes["n"] == taken(tmp_path) <= SMALL.instance_bytes + 3 * KIB + 3 * FILE_BYTES
    for found in (files, LogFiles(tmp_path, SMALL)):
        assert (await found.clocks(OLD)).offset_ns(5999) == 5999 * 5_000_000
        assert (await found.clocks(OLD)).offset_ns(5986) == 5985 * 5_000_000


async def test_lines_that_are_not_kept_need_no_clock(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path, SMALL), make_key()
    for seq in range(1, 101, 10):
        await files.append(key, [pack(seq, 10)])
    before = taken(tmp_path)
    for seq in range(101, 301):
        await files.append(key, [pack(seq, 1)], clock_offset_ns=seq * 5_000_000)
    assert taken(tmp_path) - before < 10


async def test_a_quota_that_was_lowered_cuts_logs_and_refuses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "NOTE_BYTES", 10 * KIB)
    key = make_key()
    other = key.model_copy(update={"step": "other"})
    await LogFiles(tmp_path).append(key, [pack(1, 60)])
    files = LogFiles(tmp_path, LogLimits(run_bytes=4 * KIB))
    assert await files.append(key, [pack(61, 5)]) == 65
    assert await files.append(other, [pack(1, 5), end(6)]) == 6
    assert await files.append(key, [end(66)]) == 66
    assert (await files.state(key)).end == LogEnd(False, OVER)
    assert covered(await all_of(files, other)) == list(range(1, 7))
    assert len(files.cuts) == 1


async def test_a_log_that_is_begun_gets_its_end_however_far_its_run_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "NOTE_BYTES", 10 * KIB)
    files, key = LogFiles(tmp_path, LogLimits(run_bytes=4 * KIB)), make_key()
    await files.append(key, [pack(1, 1)])
    tries = [key.model_copy(update={"try_": number}) for number in range(2, 20)]
    assert 10 < sum([await is_refused(files, each) for each in tries]) < 18
    assert await files.append(key, [pack(2, 100), end(102)]) == 102
    assert (await files.state(key)).end == LogEnd(False, OVER)


async def test_what_is_sent_again_is_not_called_missing(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path, SMALL), make_key()
    await files.append(key, [pack(1, 50)])
    await files.append(key, [pack(41, 30)])
    (gap,) = gaps_of(await all_of(files, key))
    assert (gap.first, gap.last) == (51, 70)


async def test_records_without_bytes_are_not_gathered_without_end(tmp_path: Path) -> None:
    async def none(_: Collection[ContainerKey]) -> Mapping[ContainerKey, str]:
        return {}

    files, key = LogFiles(tmp_path), make_key()
    intake = LogIntake(files, none)
    for first in range(1, 100_001, 10_000):
        records = [pb.LogRecord(seq=seq, stream=LogStream.STDOUT) for seq in range(first, first + 10_000)]
        await intake.accept(pb.LogBatch(key=key_to_pb(key), records=records))
        assert sum(len(held) for held in intake._held.values()) <= 20_000
    assert (await intake.answer()).acks[0].seq == 100_000


async def test_a_reader_whose_log_goes_as_a_whole_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, key, reading = LogFiles(tmp_path, SMALL), make_key(), segments.read_batch
    await files.append(key, [pack(1, 20)])
    loop = asyncio.get_running_loop()

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(log_files, "read_batch", reading)
        asyncio.run_coroutine_threadsafe(files.drop_oldest(key, ""), loop).result(HANG_SECONDS)
        return reading(*arguments)

    monkeypatch.setattr(log_files, "read_batch", late)
    assert covered(await all_of(files, key)) == list(range(1, 21))


@pytest.mark.parametrize("keep", [None, 100])
async def test_a_log_whose_file_somebody_removed_or_cut_goes_on_behind_what_is_left(
    tmp_path: Path, keep: int | None
) -> None:
    """The sender is told by the number, and records the loss; what it sends then can be read."""
    files, key = LogFiles(tmp_path, SMALL), make_key()
    await files.append(key, [pack(1, 20)], node="n")
    path = next(tmp_path.rglob("*.log"))
    if keep is None:
        path.unlink()
        path.parent.rmdir()
    else:
        os.truncate(path, keep)
    with pytest.raises(UnavailableError, match="removed or cut"):
        await files.append(key, [pack(21, 1)], node="n")
    assert await files.append(key, [pack(21, 1)], node="n") == 0
    lost = LogRecord(20, LogStream.GAP, 0, b'{"from": 1, "to": 20, "reason": "the control plane lost them"}')
    assert await files.append(key, [lost, pack(21, 1)], node="n") == 21
    for found in (files, LogFiles(tmp_path, SMALL)):
        assert covered(await all_of(found, key)) == list(range(1, 22))
    assert 0 <= files.usage.nodes["n"] - taken(tmp_path) <= (keep or 0), "what is torn is counted until it is looked at"


async def test_a_log_that_is_gone_as_a_whole_leaves_a_line_and_no_file(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, SMALL)
    ended, lasting, whole = step(1), step(2), step(3)
    await files.append(ended, [pack(1, 3), end(4)], clock_offset_ns=10**9, node="n")
    await files.append(lasting, [pack(1, 3)], node="n")
    await files.append(whole, [end(1)], node="n")
    for key in (ended, lasting, whole, whole):
        await files.drop_oldest(key, "n")
    assert files.usage.nodes["n"] == 0
    assert list(tmp_path.rglob("*.log")) == list(tmp_path.rglob("*.clock")) == []
    for found in (files, LogFiles(tmp_path, SMALL)):
        assert covered(await all_of(found, ended)) == [1, 2, 3, 4]
        assert (await found.state(ended)).end == LogEnd(False, DROPPED)
        assert covered(await all_of(found, lasting)) == [1, 2, 3]
        assert (await found.state(lasting)).end is None
        assert (await found.state(whole)).end == LogEnd(True)
    again = LogFiles(tmp_path, SMALL)
    assert await again.append(lasting, [pack(2, 3), end(5)]) == 5
    assert covered(await all_of(again, lasting)) == list(range(1, 6))
    await again.drop_oldest(lasting, "")
    assert covered(await all_of(LogFiles(tmp_path, SMALL), lasting)) == list(range(1, 6))


HOLDER = """
import sys
from pathlib import Path
from api.logs.writer import OneWriter
writer = OneWriter(Path(sys.argv[1]))
print(writer.is_ours, flush=True)
sys.stdin.read()
"""


async def test_a_second_process_writes_nothing_until_the_first_is_gone(tmp_path: Path) -> None:
    key = make_key()
    await LogFiles(tmp_path).append(key, [pack(1, 2)])
    gc.collect()
    files = LogFiles(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        with pytest.raises(UnavailableError, match="another process writes"):
            await files.append(key, [pack(3, 2)])
        assert covered(await all_of(files, key)) == [1, 2]
        path = next(tmp_path.rglob("*.log"))
        path.write_bytes(path.read_bytes() + path.read_bytes())  # as the other one may
        other.kill()
    assert await files.append(key, [pack(3, 2)]) == 4
    assert covered(await all_of(files, key)) == [1, 2, 3, 4]
