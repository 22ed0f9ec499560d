"""A container's log reaches the spool whole, whatever the engine does with its files, or the loss is recorded."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import closing

import docker
import pytest
from docker.errors import DockerException

from agent_worker.docker_engine import DockerEngine, create_config
from agent_worker.docker_engine.log_stream import FrameReader, closed_if_unused
from agent_worker.logs import log_cursor, log_reader
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.log_reader import LOST
from agent_worker.logs.spool import Spool
from gamekeeper.domain.log.log import PART_BYTES, LogLine, LogStream
from tests.agent_worker.logs.shown_logs import RotatingEngine, follow_to_the_end, line, records
from tests.factories import make_new_container, make_owner
from tests.hang import HANG_SECONDS


@pytest.fixture(autouse=True)
def long_logs_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_cursor, "WHOLE_BYTES", 300)
    monkeypatch.setattr(log_reader, "CAUGHT_UP_BYTES", 300)


@pytest.fixture
def never_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "BEHIND_SECONDS", 1e12)


class OneFileEngine(RotatingEngine):
    """Tells the newest line of its last view, as the end of the file does."""

    async def last_log_lines(self, container_id: str, count: int) -> Sequence[LogLine]:
        assert (bool(container_id), count) == (True, 1)
        return [line(self._views[-1][-1])]


async def test_a_long_log_of_one_file_is_read_once(spool: Spool) -> None:
    engine = OneFileEngine(range(1, 40))
    await follow_to_the_end(engine, spool, one_file=True)
    assert engine.follows == [True]
    assert [record.seq for record in records(spool)] == list(range(1, 41))


async def test_a_long_log_of_one_file_is_read_on_where_its_end_was_not_sent(spool: Spool) -> None:
    engine = OneFileEngine(range(1, 30), range(1, 40))
    await follow_to_the_end(engine, spool, one_file=True)
    assert engine.follows[:2] == [True, False]
    *lines, end = records(spool)
    assert [record.data for record in lines] == [line(number).data for number in range(1, 40)]
    assert json.loads(end.data)["complete"]


async def test_a_stream_that_ends_before_all_was_sent_is_not_believed(spool: Spool) -> None:
    """Seen with Docker 20.10: 19,548 of 131,072 lines, and then the end, because the reader was slow."""
    engine = RotatingEngine(range(1, 3), range(1, 5), range(1, 6))
    await follow_to_the_end(engine, spool)
    assert [record.seq for record in records(spool)] == [1, 2, 3, 4, 5, 6]
    assert engine.follows == [True, False, False, False]


@pytest.mark.usefixtures("never_behind")
async def test_a_stream_that_ends_at_a_new_file_is_read_on(spool: Spool) -> None:
    engine = RotatingEngine(range(1, 11), range(1, 16))
    await follow_to_the_end(engine, spool)
    *lines, end = records(spool)
    assert [record.data for record in lines] == [line(number).data for number in range(1, 16)]
    assert json.loads(end.data) == {"complete": True, "reason": ""}


async def test_who_is_far_behind_reads_what_is_there_before_following(spool: Spool) -> None:
    engine = RotatingEngine(range(1, 30), range(1, 60), range(1, 61))
    await follow_to_the_end(engine, spool)
    assert engine.follows[:3] == [True, False, False]
    assert [record.seq for record in records(spool)] == list(range(1, 62))


@pytest.mark.usefixtures("never_behind")
@pytest.mark.parametrize("first", [10, 12])
async def test_what_was_rotated_away_unread_is_a_gap(spool: Spool, first: int) -> None:
    engine = RotatingEngine(range(1, 11), range(first, 21))
    await follow_to_the_end(engine, spool)
    found = records(spool)
    gaps = [json.loads(record.data) for record in found if record.stream is LogStream.GAP]
    end = json.loads(found[-1].data)
    if first == 10:
        assert gaps == []
        assert end["complete"]
    else:
        assert gaps == [{"from": 11, "to": 11, "reason": LOST}]
        assert end == {"complete": False, "reason": LOST}
        assert found[11].data == line(12).data


async def test_a_short_log_whose_beginning_is_gone_is_not_dropped_by_count(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_cursor, "WHOLE_BYTES", 10_000)
    cursor = log_cursor.LogCursor()
    cursor.advance([line(number) for number in range(1, 6)])
    again = log_cursor.LogCursor.decode(cursor.encode()).filter()
    assert again.fresh([line(number) for number in (4, 5, 6)]) == [line(6)]
    assert not again.lost
    again = cursor.filter()
    assert again.fresh([line(8)]) == [line(8)]
    assert again.lost


def test_a_cut_after_a_clock_was_set_back_costs_no_new_line() -> None:
    cursor = log_cursor.LogCursor(read_bytes=log_cursor.WHOLE_BYTES)
    cursor.advance([line(number) for number in (7, 8, 9, 3, 4)])
    cursor.cut()
    again = cursor.filter()
    assert again.fresh([line(number) for number in (5, 6, 8)]) == [line(5), line(6), line(8)]


async def until_kept(spool: Spool, size: int) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while sum(len(record.data) for record in records(spool)) < size:
            await asyncio.sleep(0.05)


def touch(container_id: str, path: str) -> None:
    with closing(docker.from_env()) as client:
        client.containers.get(container_id).exec_run(["touch", path])


@pytest.mark.parametrize("kind", ["job", "service"])
async def test_docker_keeps_every_byte_of_many_files(
    docker_engine: DockerEngine, test_image: str, spool: Spool, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Seen with 256 MB files: the engine's stream ended at the first new file, and with it the log, as complete. With
    a log that was followed closely each new file's first lines came twice, and who began to follow while a new file
    was begun got no more lines.

    Each burst fills a file, so that a new one begins in its short lines: two new ones at once are skipped by a slow
    engine, and a long line's part that comes twice can't be told from one more part."""
    small = {"Type": "local", "Config": {"max-size": "1m", "max-file": "100", "compress": "false"}}
    monkeypatch.setattr(create_config, "SERVICE_LOG", small)
    monkeypatch.setattr(log_reader, "STUCK_SECONDS", 0.2)
    part, bursts, long_lines, short_lines = 16_384, 5, 8, 47
    long = f"head -c {6 * part} /dev/zero; echo; head -c 20000 /dev/zero; echo"  # a newline alone, and one in a part
    written = f"i=0; while [ $i -lt {long_lines} ]; do {long}; i=$((i+1)); done"
    written += f"; while [ $i -lt {long_lines + short_lines} ]; do printf '%01000d\\n' $i; i=$((i+1)); done"
    pause = "until [ -e /tmp/go$n ]; do sleep 0.02; done"
    script = f"n=0; while [ $n -lt {bursts} ]; do {written}; n=$((n+1)); {pause}; done; echo the end"
    owner = make_owner(node=docker_engine._node, kind=kind)
    new = make_new_container(owner, image=test_image, command=["sh", "-c", script])
    container_id = await docker_engine.create(new)
    follower = LogFollower(docker_engine, spool)
    await docker_engine.start(container_id)
    follower.follow(owner.key, container_id, until_removed=False)
    burst = (bytes(6 * part) + b"\n" + bytes(20_000) + b"\n") * long_lines
    burst += b"".join(b"%01000d\n" % number for number in range(long_lines, long_lines + short_lines))
    for number in range(1, bursts + 1):
        await until_kept(spool, len(burst) * number)
        await asyncio.to_thread(touch, container_id, f"/tmp/go{number}")
    await asyncio.wait_for(docker_engine.wait(container_id), HANG_SECONDS)
    assert await follower.drain(owner.key, HANG_SECONDS)
    *lines, end = records(spool)
    assert b"".join(record.data for record in lines) == burst * bursts + b"the end\n"
    assert json.loads(end.data) == {"complete": True, "reason": ""}


async def test_lines_that_a_follower_is_shown_twice_are_kept_once(spool: Spool, never_behind: None) -> None:
    """Docker up to 20.10 does so with the first lines of each new file."""
    engine = OneFileEngine([*range(1, 31), 29, 30, 31], range(1, 33))
    await follow_to_the_end(engine, spool)
    *lines, end = records(spool)
    assert [record.data for record in lines] == [line(number).data for number in range(1, 33)]
    assert json.loads(end.data)["complete"]


async def test_parts_of_a_long_line_share_their_time_and_are_not_taken_for_repeated() -> None:
    cursor, part = log_cursor.LogCursor(), LogLine(LogStream.STDOUT, 7, bytes(PART_BYTES))
    last, other = LogLine(LogStream.STDOUT, 7, b"end\n"), LogLine(LogStream.STDERR, 3, b"late\n")
    assert cursor.before_repeated([part, part, last, other, last]) == [part, part, last, other]
    cursor.advance([part])
    assert cursor.before_repeated([part, last, last]) == [part, last]
    cursor.advance([last])
    assert cursor.before_repeated([last]) == []


async def test_a_clock_that_is_set_back_costs_no_line(spool: Spool, never_behind: None) -> None:
    """The times of the lines after it are older than those before."""
    times = [*range(2, 61, 2), *range(21, 40, 2)]
    engine = OneFileEngine(times)
    await follow_to_the_end(engine, spool)
    *lines, end = records(spool)
    assert [record.data for record in lines] == [line(number).data for number in times]
    assert json.loads(end.data)["complete"]


async def test_the_engines_own_complaint_is_no_line() -> None:
    complaint = b"Error grabbing logs: illegal tag 0"
    raw = io.BytesIO(b"\x03\0\0\0" + len(complaint).to_bytes(4, "big") + complaint)
    with pytest.raises(DockerException, match="illegal tag"):
        list(FrameReader(raw))


class StuckEngine(RotatingEngine):
    """Whoever follows is shown the first view alone, and is left waiting."""

    async def read_logs(
        self, container_id: str, since_ns: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        async for lines in super().read_logs(container_id, since_ns, follow=follow):
            yield lines
        if follow:
            await asyncio.Event().wait()

    async def last_log_lines(self, container_id: str, count: int) -> Sequence[LogLine]:
        return [line(self._views[-1][-1])]


async def test_a_follower_that_the_engine_forgot_reads_what_is_there(
    spool: Spool, never_behind: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "STUCK_SECONDS", 0.05)
    engine = StuckEngine(range(1, 20), range(1, 30))
    await follow_to_the_end(engine, spool)
    *lines, _ = records(spool)
    assert [record.data for record in lines] == [line(number).data for number in range(1, 30)]
    assert engine.follows[:2] == [True, False]


class Opened:
    closed = False

    def close(self) -> None:
        self.closed = True


async def test_a_log_that_was_opened_for_somebody_who_has_gone_is_closed() -> None:
    opened, begun, go_on = Opened(), asyncio.Event(), asyncio.Event()

    async def opening() -> Opened:
        begun.set()
        await go_on.wait()
        return opened

    reader = asyncio.create_task(closed_if_unused(opening()))
    await begun.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    go_on.set()
    async with asyncio.timeout(HANG_SECONDS):
        while not opened.closed:
            await asyncio.sleep(0)
