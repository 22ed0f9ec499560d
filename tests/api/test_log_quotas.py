"""Quotas of logs on the server's disk: what is beyond them is not kept, and the log says so for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from api.logs.cut import OVER
from api.logs.files import NOTE_BYTES, LogFiles
from api.logs.open_log import DROPPED
from api.logs.usage import FILE_BYTES, LogLimits
from api.logs.writer import LOCK
from gamekeeper.disk import DiskFloor
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.log.log import LogEnd, LogGap, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import LinePacker
from gamekeeper.errors import InvalidError, QuotaError
from tests.factories import make_key
from tests.hang import HANG_SECONDS

KIB = 1024
SMALL = LogLimits(run_bytes=64 * KIB, instance_bytes=64 * KIB, node_bytes=512 * KIB)
LINE = b"x" * 999 + b"\n"


def pack(first: int, count: int) -> LogRecord:
    lines = LinePacker()
    for _ in range(count):
        lines.add(LogStream.STDOUT, 1000, LINE)
    return lines.record(first + count - 1)


def end(seq: int) -> LogRecord:
    return LogRecord(seq, LogStream.END, seq, LogEnd(True).encode())


async def all_of(files: LogFiles, key: ContainerKey, after: int = 0, *, follow: bool = False) -> list[LogRecord]:
    return [item async for batch in files.read(key, after, follow=follow) for item in batch]


def gaps_of(records: list[LogRecord]) -> list[LogGap]:
    return [LogGap.decode(record.data) for record in records if record.stream is LogStream.GAP]


def covered(records: list[LogRecord]) -> list[int]:
    """The numbers that a reader was told of, as lines or as missing."""
    found: list[int] = []
    for record in records:
        gap = LogGap.decode(record.data) if record.stream is LogStream.GAP else LogGap(record.seq, record.seq, "")
        found += range(gap.first, gap.last + 1)
    return found


def taken(root: Path) -> int:
    return sum(path.stat().st_size + FILE_BYTES for path in root.rglob("*") if path.is_file() and path.name != LOCK)


async def fill(files: LogFiles, node: str) -> None:
    """Runs that write, until the node is held back."""
    for number in range(1000):
        await files.append(StepKey(run_id=f"{number:016x}", step="work", try_=1), [pack(1, 5)], node=node)


async def test_the_log_of_a_run_beyond_its_quota_ends_with_what_is_missing(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path, SMALL), make_key()
    for first in range(1, 1001, 10):
        assert await files.append(key, [pack(first, 10)]) == first + 9, "the sender need not keep it either"
    assert await files.append(key, [end(1001)]) == 1001
    assert taken(tmp_path) < SMALL.run_bytes + 2 * FILE_BYTES
    for found in (files, LogFiles(tmp_path, SMALL)):
        records = await all_of(found, key)
        assert covered(records) == list(range(1, 1002))
        gap, *others = gaps_of(records)
        assert (gap.last, gap.reason, others) == (1000, OVER, [])
        assert records[-1].stream is LogStream.END
        assert (await found.state(key)).end == LogEnd(False, OVER)
    assert files.cuts == [(key, "")]


async def test_the_record_of_what_is_missing_grows_over_a_restart_and_closes(tmp_path: Path) -> None:
    key = make_key()
    for first in range(1, 401, 20):
        assert await LogFiles(tmp_path, SMALL).append(key, [pack(first, 20)]) == first + 19
    sizes = [path.stat().st_size for path in tmp_path.rglob("*.log")]
    fresh = LogFiles(tmp_path, SMALL)
    assert await fresh.append(key, [pack(381, 20), pack(401, 20)]) == 420, "what is sent again is known"
    assert [path.stat().st_size for path in tmp_path.rglob("*.log")] == sizes
    wider = LogFiles(tmp_path, LogLimits())
    assert await wider.append(key, [pack(421, 1), end(422)]) == 422
    records = await all_of(wider, key)
    assert covered(records) == list(range(1, 423))
    assert gaps_of(records)[0].last == 421


async def test_a_reader_that_follows_is_told_at_once_and_to_the_end(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path, SMALL), make_key()
    reading = asyncio.create_task(all_of(files, key, follow=True))
    for first in range(1, 2001, 10):
        await files.append(key, [pack(first, 10)])
    await files.append(key, [end(2001)])
    records = await asyncio.wait_for(reading, HANG_SECONDS)
    assert gaps_of(records)[0].reason == OVER
    assert LogEnd.decode(records[-1].data) == LogEnd(False, OVER)


async def test_made_up_logs_of_one_run_are_inside_its_quota(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, SMALL)
    keys = [StepKey(run_id="a" * 16, step=f"step-{number % 3}", try_=number) for number in range(1, 101)]
    for key in keys:
        await files.append(key, [pack(1, 20)])
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.log")) < SMALL.run_bytes
    for key in keys:
        assert covered(await all_of(files, key)) == list(range(1, 21)), key
    assert len(files.cuts) == 1, "told once"


async def test_the_notes_on_what_is_missing_have_an_end_as_well(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path, SMALL), make_key()
    log = await files._logs.get(key)
    log.folder.bytes = SMALL.run_bytes + NOTE_BYTES + 1
    with pytest.raises(InvalidError, match="far over their quota"):
        await files.append(key, [pack(1, 1)])


async def test_a_log_that_is_whole_keeps_its_end_when_its_run_is_over(tmp_path: Path) -> None:
    files, key, greedy = LogFiles(tmp_path, SMALL), make_key(), make_key().model_copy(update={"try_": 9})
    await files.append(key, [pack(1, 1)])
    for first in range(1, 101, 10):
        await files.append(greedy, [pack(first, 10)])
    await files.append(key, [end(2)])
    assert (await files.state(key)).end == LogEnd(True)


async def test_an_instance_loses_its_oldest_lines_and_says_so(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path, SMALL), InstanceKey(instance="arena", revision=1)
    for first in range(1, 1001, 2):
        assert await files.append(key, [pack(first, 2)], node="n") == first + 1
        assert taken(tmp_path) <= SMALL.instance_bytes + 3 * KIB + 2 * FILE_BYTES
    for found in (files, LogFiles(tmp_path, SMALL)):
        records = await all_of(found, key)
        assert covered(records) == list(range(1, 1001))
        (gap,) = gaps_of(records)
        assert records[0].stream is LogStream.GAP
        assert (gap.first, gap.reason) == (1, DROPPED)
        assert 930 < gap.last < 990
        assert [record.seq for record in await all_of(found, key, after=995)] == [996, 997, 998, 999, 1000]
    assert files.usage.nodes["n"] == taken(tmp_path)
    await files.append(key, [end(1001)], node="n")
    assert (await files.state(key)).end == LogEnd(False, DROPPED)
    assert LogEnd.decode((await all_of(files, key))[-1].data) == LogEnd(False, DROPPED)


async def test_the_oldest_revision_goes_first_and_its_end_stays(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, SMALL)
    old, older, new = (InstanceKey(instance="arena", revision=number) for number in (2, 1, 10))
    await files.append(older, [pack(1, 15), end(16)])
    await files.append(old, [pack(1, 15)])
    for first in range(1, 101, 2):
        await files.append(new, [pack(first, 2)])
    for found in (files, LogFiles(tmp_path, SMALL)):
        assert [record.stream for record in await all_of(found, older)] == [LogStream.GAP, LogStream.END]
        assert (await found.state(older)).end == LogEnd(False, DROPPED)
        assert covered(await all_of(found, older)) == list(range(1, 17))
        assert covered(await all_of(found, old)) == list(range(1, 16)), "an open log as well"
        assert (await found.state(old)).last_seq == 15
        assert covered(await all_of(found, new)) == list(range(1, 101))
    assert await files.append(old, [pack(16, 1)]) == 16
    assert covered(await all_of(files, old)) == list(range(1, 17))


async def test_a_long_log_of_before_there_were_segments_keeps_its_newer_part(tmp_path: Path) -> None:
    old, new = (InstanceKey(instance="arena", revision=number) for number in (1, 2))
    before = LogFiles(tmp_path)
    for first in range(1, 401, 2):
        await before.append(old, [pack(first, 2)], node="n")
    assert len(list(tmp_path.rglob("*.log"))) == 1
    files = LogFiles(tmp_path, SMALL)
    for first in range(401, 421, 2):
        await files.append(old, [pack(first, 2)], node="n")
        records = await all_of(files, old)
        assert covered(records) == list(range(1, first + 2))
        assert len(records) > 20, "not all of it is dropped for the first line"
        assert taken(tmp_path) <= SMALL.instance_bytes + 3 * KIB + 2 * FILE_BYTES
    await files.append(new, [pack(1, 2)], node="n")
    for found in (files, LogFiles(tmp_path, SMALL)):
        assert covered(await all_of(found, old)) == list(range(1, 421))
        assert covered(await all_of(found, new)) == [1, 2]


async def test_lines_that_come_behind_a_log_that_made_room_are_kept(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path, SMALL), make_key()
    for first in range(1, 101, 10):
        await files.append(key, [pack(first, 10)])
    assert gaps_of(await all_of(files, key))[0].last == 100
    await files.drop_oldest(key, "")
    assert await files.append(key, [pack(101, 10), end(111)]) == 111
    for found in (files, LogFiles(tmp_path, SMALL)):
        assert covered(await all_of(found, key)) == list(range(1, 112))
        assert [record.stream for record in await all_of(found, key)][1:] == [LogStream.STDOUT] * 10 + [LogStream.END]


async def test_a_kill_while_the_oldest_are_dropped_loses_nothing_else(tmp_path: Path) -> None:
    """The rest of a log is there before the log goes."""
    files, key = LogFiles(tmp_path, SMALL), make_key()
    await files.append(key, [pack(1, 20), end(21)])
    whole = next(tmp_path.rglob("*.log"))
    before = whole.read_bytes()
    await files.drop_oldest(key, "")
    assert [record.seq for record in await all_of(files, key)] == [20, 21]
    whole.parent.mkdir()
    whole.write_bytes(before)
    fresh = LogFiles(tmp_path, SMALL)
    assert covered(await all_of(fresh, key)) == list(range(1, 22))
    assert (await fresh.state(key)).end == LogEnd(True)


async def test_a_reader_in_the_middle_of_what_is_dropped_is_told(tmp_path: Path) -> None:
    files, key = LogFiles(tmp_path, SMALL), InstanceKey(instance="arena", revision=1)
    for first in range(1, 25, 2):
        await files.append(key, [pack(first, 2)])
    reading = files.read(key, 0, follow=False)
    begun = list(await anext(aiter(reading)))
    for first in range(25, 401, 2):
        await files.append(key, [pack(first, 2)])
    records = [*begun, *[record async for batch in reading for record in batch]]
    assert covered(records) == list(range(1, 401))
    assert begun[0].seq == 1
    assert len(gaps_of(records)) == 1


async def test_a_node_beyond_its_quota_is_held_back_and_no_other_is(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, SMALL)
    with pytest.raises(QuotaError, match="it may call again in"):
        await fill(files, "full")
    assert "GAMEKEEPER_LOG_NODE_BYTES" in files.held_back("full")
    assert taken(tmp_path) <= SMALL.node_bytes
    assert files.usage.nodes["full"] == taken(tmp_path)
    assert await files.append(make_key(), [pack(1, 20)], node="other") == 20
    assert files.held_back("other") == ""
    arena = InstanceKey(instance="arena", revision=1)
    with pytest.raises(QuotaError):
        await files.append(arena, [pack(1, 20)], node="full")


async def test_an_instance_goes_on_at_its_nodes_quota_by_its_own_oldest_lines(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, LogLimits(run_bytes=10**9, instance_bytes=64 * KIB, node_bytes=128 * KIB))
    arena = InstanceKey(instance="arena", revision=1)
    for first in range(1, 41, 2):
        await files.append(arena, [pack(first, 2)], node="n")
    with pytest.raises(QuotaError):
        await fill(files, "n")
    for first in range(41, 201, 2):
        assert await files.append(arena, [pack(first, 2)], node="n") == first + 1
    assert covered(await all_of(files, arena)) == list(range(1, 201))
    assert taken(tmp_path) <= 128 * KIB


async def test_nothing_is_taken_while_the_disk_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = "the disk is nearly full"
    monkeypatch.setattr(DiskFloor, "trouble", lambda *_: trouble)
    files, key = LogFiles(tmp_path, SMALL, DiskFloor([tmp_path], 0)), make_key()
    with pytest.raises(QuotaError, match="logs are not taken now: the disk is nearly full"):
        await files.append(key, [pack(1, 1)])
    trouble = ""
    assert await files.append(key, [pack(1, 1)]) == 1
