"""Logs on the agent's disk: numbered, resumable, acknowledged."""

from __future__ import annotations

import sqlite3
import subprocess
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_worker.logs import spool as spool_module
from agent_worker.logs.log_cursor import WHOLE_BYTES, LogCursor
from agent_worker.logs.spool import Spool
from agent_worker.logs.spool_chunks import CHUNK_BYTES
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.log.log import LogEnd, LogLine, LogStream
from gamekeeper.domain.log.log_pack import unpack
from gamekeeper.errors import UnavailableError
from gamekeeper.rpc.convert import record_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.factories import make_key

OUT, ERR = LogStream.STDOUT, LogStream.STDERR


def line(ts_ns: int, data: bytes = b"x\n", stream: LogStream = OUT) -> LogLine:
    return LogLine(stream, ts_ns, data)


def sent(spool: Spool) -> list[tuple[int, int, bytes]]:
    batches = [pb.LogBatch.FromString(chunk.batch) for chunk in spool.pending(10**9)]
    found = [line for batch in batches for record in batch.records for line in unpack(record_from_pb(record))]
    return [(record.seq, record.stream, record.data) for record in found]


def keep(spool: Spool, key: StepKey, *lines: LogLine) -> None:
    """The next lines of a log."""
    cursor = spool.open(key)
    assert cursor is not None
    cursor.advance(lines)
    spool.append(key, lines, cursor)


def keep_rest(spool: Spool, key: StepKey, *log: LogLine) -> None:
    """The new lines of a log that is read from its start, as after a kill."""
    cursor = spool.open(key)
    assert cursor is not None
    keep(spool, key, *cursor.filter().fresh(log))


def test_records_are_numbered_without_holes(spool: Spool) -> None:
    key = make_key()
    keep(spool, key, line(1, b"a"), line(2, b"b"))
    keep(spool, key, line(3, b"c", ERR))
    spool.end(key, LogEnd(True), 4)
    assert [(seq, data) for seq, _, data in sent(spool)[:3]] == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert sent(spool)[3][:2] == (4, LogStream.END)
    assert spool.open(key) is None


def test_a_large_append_becomes_several_messages(spool: Spool) -> None:
    key = make_key()
    keep(spool, key, *[line(index, b"x" * 1000) for index in range(1, 1000)])
    chunks = spool.pending(10**9)
    assert len(chunks) == 4
    assert max(len(chunk.batch) for chunk in chunks) < CHUNK_BYTES + 2000
    assert [chunk.first_seq for chunk in chunks[1:]] == [chunk.last_seq + 1 for chunk in chunks[:-1]]


def test_only_what_is_acknowledged_goes(spool: Spool) -> None:
    key = make_key()
    keep(spool, key, line(1))
    keep(spool, key, line(2))
    spool.acknowledge({key: 1}, 0)
    assert [seq for seq, _, _ in sent(spool)] == [2]
    assert not spool.is_settled(key)
    spool.end(key, LogEnd(True), 3)
    spool.acknowledge({key: 3}, 0)
    assert spool.is_settled(key)
    assert sent(spool) == []


def test_a_second_process_goes_on_where_the_first_was_killed(tmp_path: Path) -> None:
    key = make_key()
    first = Spool(tmp_path / "spool.db")
    keep(first, key, line(10, b"a"), line(10, b"b"), line(20, b"c"))
    second = Spool(tmp_path / "spool.db")
    keep_rest(second, key, line(10, b"a"), line(10, b"b"), line(20, b"c"), line(20, b"d"), line(30, b"e"))
    assert [data for _, _, data in sent(second)] == [b"a", b"b", b"c", b"d", b"e"]
    first.close()
    second.close()


def test_what_the_server_lost_becomes_a_gap(spool: Spool) -> None:
    key = make_key()
    keep(spool, key, line(1))
    keep(spool, key, line(2))
    spool.acknowledge({key: 1}, 0)
    spool.fill_hole(key, 0)
    records = sent(spool)
    assert records[0][:2] == (1, LogStream.GAP)
    assert b'"from": 1, "to": 1' in records[0][2]
    assert records[1][0] == 2


def test_a_refused_log_holds_up_no_other(spool: Spool) -> None:
    refused, other = make_key(), make_key()
    keep(spool, refused, line(1))
    keep(spool, other, line(1, b"other"))
    spool.refuse(refused, "no such run")
    assert [data for _, _, data in sent(spool)] == [b"other"]
    assert spool.is_settled(refused)


def test_a_refused_log_whose_container_goes_on_takes_no_room_of_the_others(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", reserve_bytes=0, limit_bytes=1024 * 1024)
    refused, other = make_key(), make_key(step="other")
    keep(spool, refused, line(1))
    spool.refuse(refused, "far over its quota")
    assert spool.held_bytes == 0
    fill(spool, refused)
    keep(spool, other, line(1, b"other"))
    assert [data for _, _, data in sent(spool)] == [b"other"]
    spool.end(refused, LogEnd(True), 2)
    assert spool.is_settled(refused)
    spool.close()


def test_what_waits_is_counted_right_whatever_fails(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key()
    keep(spool, key, line(1))
    keep(spool, key, line(2))

    def full(*_: object) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as failing:
        failing.setattr(spool_module, "_is_settled", full)
        with pytest.raises(UnavailableError):
            spool.acknowledge({key: 2}, 0)
    assert spool.held_bytes == sum(len(chunk.batch) for chunk in spool.pending(10**9)) > 0
    spool.acknowledge({key: 1}, 0)
    spool.fill_hole(key, 0)
    assert spool.held_bytes == sum(len(chunk.batch) for chunk in spool.pending(10**9))
    spool.acknowledge({key: 2}, 0)
    assert spool.held_bytes == 0


def fill(spool: Spool, key: StepKey) -> None:
    for number in range(2, 200):
        keep(spool, key, line(number, b"x" * 50_000))


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], check=True)
    try:
        spool = Spool(tmp_path / "spool.db", reserve_bytes=2 * 1024 * 1024)
        key = make_key()
        keep(spool, key, line(1, b"first"))
        with pytest.raises(UnavailableError, match=rf"the disk of {tmp_path} is full .*; free space in {tmp_path}"):
            fill(spool, key)
        kept = [seq for seq, _, _ in sent(spool)]
        assert kept == list(range(1, kept[-1] + 1))
        spool.acknowledge({key: kept[-1] - 1}, 0)  # what the server took must be able to go, full disk or not
        assert [seq for seq, _, _ in sent(spool)] == [kept[-1]]
        subprocess.run(["mount", "-o", "remount,size=16m", str(tmp_path)], check=True)
        keep(spool, key, line(1000, b"after"))
        assert [seq for seq, _, _ in sent(spool)] == [kept[-1], kept[-1] + 1]
        spool.close()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_spool_takes_no_line_and_every_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", reserve_bytes=0, limit_bytes=1024 * 1024)
    key, other = make_key(), make_key(step="other")
    keep(spool, other, line(1, b"first"))
    with pytest.raises(UnavailableError, match=r"the spool of logs is full \(.*GAMEKEEPER_AGENT_SPOOL_BYTES"):
        fill(spool, key)
    assert 1024 * 1024 <= spool.held_bytes < 2 * 1024 * 1024
    spool.end(other, LogEnd(True), 2)
    spool.acknowledge({key: max(seq for seq, _, _ in sent(spool))}, 0)
    keep(spool, key, line(1000, b"after"))
    spool.close()


def test_a_disk_that_takes_no_write_at_all_is_named(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(tmp_path)], check=True)
    try:
        spool = Spool(tmp_path / "spool.db", reserve_bytes=0)
        with pytest.raises(UnavailableError, match=r"spool\.db does not take a write.*free space in"):
            fill(spool, make_key())
        spool.close()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_the_files_of_the_agent_are_whole_after_a_power_cut(spool: Spool) -> None:
    """In WAL mode that takes NORMAL at least: what is lost of the newest is read from the engine again."""
    with spool._store.transaction() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() >= (1,)


STEPS = st.lists(st.tuples(st.integers(-3, 5), st.sampled_from([OUT, ERR])), max_size=40)


def read_again(log: list[LogLine], cut: int, cursor: LogCursor) -> list[LogLine]:
    """The lines that are kept when the reader is killed after ``cut`` lines and another goes on."""
    cursor.advance(log[:cut])
    cursor = LogCursor.decode(cursor.encode())
    from_engine = [item for item in log if item.ts_ns >= cursor.since_ns]
    return log[:cut] + cursor.filter().fresh(from_engine)


@given(STEPS, st.integers(0, 40))
def test_reading_again_repeats_and_skips_nothing_whatever_the_clock_does(
    steps: list[tuple[int, LogStream]], cut: int
) -> None:
    times = accumulate((delta * 700_000_000 for delta, _ in steps), initial=10**11)
    log = [LogLine(stream, ts, b"%d" % ts) for ts, (_, stream) in zip(times, steps, strict=False)]
    assert read_again(log, cut, LogCursor()) == log


@given(STEPS, st.integers(0, 40))
def test_a_log_that_may_be_rotated_is_resumed_by_time(steps: list[tuple[int, LogStream]], cut: int) -> None:
    times = accumulate((abs(delta) * 700_000_000 for delta, _ in steps), initial=10**11)
    log = [LogLine(stream, ts, b"%d" % ts) for ts, (_, stream) in zip(times, steps, strict=False)]
    assert read_again(log, cut, LogCursor(read_bytes=WHOLE_BYTES)) == log


@given(st.lists(st.tuples(st.sampled_from((OUT, ERR)), st.integers(0, 3))), st.lists(st.integers(0, 30)))
def test_a_cursor_moves_over_many_lines_as_over_each(stamps: list[tuple[LogStream, int]], cuts: list[int]) -> None:
    lines = [line(ts_ns, stream=stream) for stream, ts_ns in stamps]
    many, single = LogCursor(), LogCursor()
    for begin, end in pairwise([0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]):
        many.advance(lines[begin:end])
    for item in lines:
        single.advance([item])
    assert many == single
