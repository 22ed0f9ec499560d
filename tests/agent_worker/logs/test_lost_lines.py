"""Whatever fails, a log is read on; what the engine lost of it is recorded, and the log is not called complete."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.dummy_engine import DummyEngine
from agent_worker.logs import log_reader
from agent_worker.logs.log_follower import REMOVED_MEANWHILE, LogFollower
from agent_worker.logs.log_reader import LOST
from agent_worker.logs.spool import Spool
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogEnd, LogLine, LogStream
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import ContainerInfo
from tests.agent_worker.logs.shown_logs import RotatingEngine, end_of, follow_to_the_end, gaps, line, lines_of, records
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS


class Disk:
    """Refuses the first writes and reads of a spool: as a full disk, and as what nobody has thought of."""

    def __init__(self, spool: Spool, *errors: Exception) -> None:
        self.errors = list(errors)
        for name in ("open", "append", "end"):
            setattr(spool, name, self._failing(getattr(spool, name)))

    def _failing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self.errors:
                raise self.errors.pop()
            return method(*arguments)

        return call


@pytest.mark.parametrize("error", [UnavailableError("full"), OSError("gone"), ValueError("odd")])
@pytest.mark.parametrize("count", [1, 3])
async def test_no_error_of_the_spool_ends_a_follower(spool: Spool, error: Exception, count: int) -> None:
    """The first call opens the log, the next ones append to it and end it."""
    disk = Disk(spool, *[error] * count)
    await follow_to_the_end(RotatingEngine(range(1, 4)), spool)
    assert disk.errors == []
    assert lines_of(spool) == [line(number).data for number in range(1, 4)]
    assert end_of(spool) == LogEnd(True)


async def test_an_append_that_failed_oddly_is_made_again(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor in memory had passed lines that were not kept."""
    append = spool.append
    failed: list[bool] = []

    def fail_once(*arguments: Any) -> None:
        if not failed:
            failed.append(True)
            raise OSError("input/output error")
        append(*arguments)

    monkeypatch.setattr(spool, "append", fail_once)
    await follow_to_the_end(RotatingEngine(range(1, 4)), spool)
    assert lines_of(spool) == [line(number).data for number in range(1, 4)]


class BrokenEngine(RotatingEngine):
    """Its stream breaks off ``breaks`` times, before it has shown anything."""

    breaks = 3

    async def read_logs(
        self, container_id: str, since_ns: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        if self.breaks:
            self.breaks -= 1
            raise UnavailableError("the log broke off")
        async for lines in super().read_logs(container_id, since_ns, follow=follow):
            yield lines


async def test_a_stream_that_breaks_off_is_begun_again(spool: Spool) -> None:
    await follow_to_the_end(BrokenEngine(range(1, 4)), spool)
    assert lines_of(spool) == [line(number).data for number in range(1, 4)]
    assert end_of(spool) == LogEnd(True)


async def test_a_log_that_the_engine_can_never_read_ends_as_incomplete(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "UNREADABLE_TRIES", 2)
    engine = BrokenEngine(range(1, 4))
    engine.breaks = 1000
    await follow_to_the_end(engine, spool)
    assert end_of(spool) == LogEnd(False, f"{log_reader.UNREADABLE}: the log broke off")


@pytest.mark.parametrize(
    ("views", "kept"),
    [
        ([range(1, 6), ()], range(1, 6)),  # all of it is gone
        ([range(1, 6), range(1, 3)], range(1, 6)),  # its end is gone
        ([range(1, 6), (1, 2, 8, 9)], (*range(1, 6), 8, 9)),  # its end is gone, and it has grown again
        ([range(1, 6), range(8, 10)], (*range(1, 6), 8, 9)),  # all of it, and it has grown again
        ([range(1, 6), (), (), range(8, 10)], range(1, 6)),
    ],
)
async def test_what_docker_lost_of_a_log_is_a_gap(
    spool: Spool, views: list[Sequence[int]], kept: Sequence[int]
) -> None:
    await follow_to_the_end(RotatingEngine(*views), spool)
    assert lines_of(spool) == [line(number).data for number in kept]
    assert gaps(spool) == [LOST]
    assert end_of(spool) == LogEnd(False, LOST)


async def started(engine: DummyEngine, **environment: str) -> tuple[ContainerKey, str]:
    """A service that goes on, with a line in its log."""
    new = make_new_container(
        make_owner(node="node-1", kind="service"), environment={"DUMMY_OUTPUT": "x", **environment}
    )
    container_id = await engine.create(new)
    await engine.start(container_id)
    return new.owner.key, container_id


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not found():
            await asyncio.sleep(0.01)


async def test_a_line_between_the_last_look_and_the_end_is_not_missed(spool: Spool) -> None:
    """A look at what is there, made before the container ended, does not show the log whole."""
    engine = RotatingEngine(range(1, 3), range(1, 3), range(1, 4))
    key, container_id = await started(engine)
    find = engine.find

    async def ends_after_the_second_look(name_or_id: str) -> Any:
        if len(engine.follows) == 2:
            await engine.stop(container_id, 1)
        return await find(name_or_id)

    engine.find = ends_after_the_second_look  # type: ignore[method-assign]
    follower = LogFollower(engine, spool)
    follower.follow(key, container_id, until_removed=False)
    assert await follower.drain(key, HANG_SECONDS)
    assert lines_of(spool) == [line(number).data for number in range(1, 4)]


async def test_a_stream_that_ends_while_its_container_goes_on_is_looked_at_and_followed_again(spool: Spool) -> None:
    """Docker was restarted, or began a new file: the stream may have ended before all was sent."""
    engine = RotatingEngine(range(1, 3), range(1, 5))
    key, container_id = await started(engine)
    follower = LogFollower(engine, spool)
    follower.follow(key, container_id, until_removed=False)
    await until(lambda: len(engine.follows) >= 4)
    assert engine.follows[:4] == [True, False, True, False]
    assert lines_of(spool) == [line(number).data for number in range(1, 5)]
    await engine.stop(container_id, 1)
    assert await follower.drain(key, HANG_SECONDS)


class PolledEngine(DummyEngine):
    """Counts how often it is asked for a container without having to show its log."""

    finds_in_a_row = 0

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        self.finds_in_a_row += 1
        return await super().find(name_or_id)

    def read_logs(self, container_id: str, since_ns: int, *, follow: bool) -> AsyncGenerator[Sequence[LogLine], None]:
        self.finds_in_a_row = 0
        return super().read_logs(container_id, since_ns, follow=follow)


@pytest.mark.parametrize("stops_first", [True, False])
async def test_a_server_that_is_removed(spool: Spool, monkeypatch: pytest.MonkeyPatch, stops_first: bool) -> None:
    """Only who stops it first gives its log the time to be read whole."""
    monkeypatch.setattr(log_reader, "RESTART_POLL_SECONDS", 0.01)
    engine = PolledEngine("node-1")
    key, container_id = await started(engine)
    follower = LogFollower(engine, spool)
    follower.follow(key, container_id, until_removed=True)
    await until(lambda: spool.held_bytes)
    if stops_first:
        await engine.stop(container_id, 1)
        await until(lambda: engine.finds_in_a_row > 1)  # there is nothing left to read
    else:
        engine._by_id[container_id].ended.set()  # what follows it sees the end of its stream
    await engine.remove(container_id)
    assert await follower.drain(key, HANG_SECONDS)
    assert end_of(spool) == (LogEnd(True) if stops_first else LogEnd(False, log_reader.REMOVED))


async def test_a_server_that_somebody_starts_and_removes_between_two_looks(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "RESTART_POLL_SECONDS", 0.01)
    engine = PolledEngine("node-1")
    key, container_id = await started(engine)
    follower = LogFollower(engine, spool)
    follower.follow(key, container_id, until_removed=True)
    await engine.stop(container_id, 1)
    await until(lambda: engine.finds_in_a_row > 1)
    engine._by_id[container_id].start()
    await engine.remove(container_id)
    assert await follower.drain(key, HANG_SECONDS)
    assert end_of(spool) == LogEnd(False, log_reader.RESTARTED)


@pytest.mark.parametrize("starts", [0, 1])
async def test_dockers_events_tell_of_a_start_between_two_looks(
    docker_engine: DockerEngine, test_image: str, spool: Spool, monkeypatch: pytest.MonkeyPatch, starts: int
) -> None:
    monkeypatch.setattr(log_reader, "RESTART_POLL_SECONDS", 0.01)
    owner = make_owner(node=docker_engine._node, kind="service", lifetime="node")
    container_id = await docker_engine.create(make_new_container(owner, image=test_image, command=["echo", "x"]))
    await docker_engine.start(container_id)
    await docker_engine.wait(container_id)
    await until(lambda: docker_engine._watch._streams)
    looks, may_look = 0, asyncio.Event()
    find = docker_engine.find

    async def gated(name_or_id: str) -> ContainerInfo | None:
        nonlocal looks
        looks += 1
        if looks > 5:  # two passes and a few looks at what has ended
            await may_look.wait()
        return await find(name_or_id)

    monkeypatch.setattr(docker_engine, "find", gated)
    follower = LogFollower(docker_engine, spool)
    follower.follow(owner.key, container_id, until_removed=True)
    await until(lambda: looks > 5)
    for _ in range(starts):
        await docker_engine.start(container_id)
        await docker_engine.wait(container_id)
    docker_engine._api.remove_container(container_id)
    may_look.set()
    assert await follower.drain(owner.key, HANG_SECONDS)
    assert end_of(spool) == (LogEnd(False, log_reader.RESTARTED) if starts else LogEnd(True))


async def test_a_server_that_is_over_is_read_to_its_end_though_it_was_to_go_on(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try of a server that failed: its log ends with it, or its container is never removed."""
    monkeypatch.setattr(log_reader, "RESTART_POLL_SECONDS", 0.01)
    engine = PolledEngine("node-1")
    key, container_id = await started(engine)
    follower = LogFollower(engine, spool)
    follower.follow(key, container_id, until_removed=True)
    await engine.stop(container_id, 1)
    await until(lambda: engine.finds_in_a_row > 1)
    follower.follow(key, container_id, until_removed=False)
    assert await follower.drain(key, HANG_SECONDS)
    assert end_of(spool) == LogEnd(True)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_server_that_is_started_again_is_read_on(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """Also when it has ended once more before anybody looked: another start, another end."""
    monkeypatch.setattr(log_reader, "RESTART_POLL_SECONDS", 0.01)
    engine = PolledEngine("node-1")
    key, container_id = await started(engine)
    follower = LogFollower(engine, spool)
    follower.follow(key, container_id, until_removed=True)
    await engine.stop(container_id, 1)
    await until(lambda: engine.finds_in_a_row > 1)
    engine._by_id[container_id].start()
    if not goes_on:
        await engine.stop(container_id, 1)
    await until(lambda: len(lines_of(spool)) == 2)
    await engine.stop(container_id, 1)
    await until(lambda: engine.finds_in_a_row > 1)
    await engine.remove(container_id)
    assert await follower.drain(key, HANG_SECONDS)
    assert end_of(spool) == LogEnd(True)


async def test_logs_that_nobody_follows_are_taken_up(spool: Spool) -> None:
    engine = DummyEngine("node-1")
    key, container_id = await started(engine)
    await engine.stop(container_id, 1)
    gone = make_key()
    spool.open(gone)
    follower = LogFollower(engine, spool)
    await follower.take_up()
    assert await follower.drain(key, HANG_SECONDS)
    await follower.take_up()
    assert follower._tasks == {}
    assert spool.open_keys() == []
    ends = [LogEnd.decode(record.data) for record in records(spool) if record.stream is LogStream.END]
    assert LogEnd(True) in ends
    assert LogEnd(False, REMOVED_MEANWHILE) in ends


async def test_a_full_disk_lets_lines_wait_in_the_engine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, nothing is lost, and reading goes on when there is room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)], check=True)
    try:
        spool = Spool(tmp_path / "spool.db", reserve_bytes=1024 * 1024)
        engine = DummyEngine("node-1")
        output = "".join(f"{number} {'x' * 20_000}\n" for number in range(200))
        key, container_id = await started(engine, DUMMY_OUTPUT=output)
        await engine.stop(container_id, 1)
        follower = LogFollower(engine, spool)
        follower.follow(key, container_id, until_removed=False)
        await until(lambda: any("logs wait in Docker" in record.message for record in caplog.records))
        subprocess.run(["mount", "-o", "remount,size=64m", str(tmp_path)], check=True)
        assert await follower.drain(key, HANG_SECONDS)
        assert b"".join(lines_of(spool)) == output.encode()
        assert (gaps(spool), end_of(spool)) == ([], LogEnd(True))
        assert len([record for record in caplog.records if "logs wait in Docker" in record.message]) == 1
        spool.close()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
