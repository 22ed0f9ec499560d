"""Lines that the engine had dropped before the first reading can not be counted: that they may be missing is told."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from agent_worker.docker_engine import DockerEngine, create_config
from agent_worker.dummy_engine import DummyEngine
from agent_worker.logs import log_reader
from agent_worker.logs.log_cursor import LogCursor
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.log_reader import UNREAD
from agent_worker.logs.spool import Spool
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogEnd
from gamekeeper.ports.container_engine import ContainerInfo
from tests.agent_worker.logs.shown_logs import RotatingEngine, end_of, follow_to_the_end, gaps, line, lines_of
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS


class KeepingEngine(RotatingEngine):
    """Holds ``kept`` bytes of a log at least, once it has dropped its first lines."""

    kept = 0

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        info = await super().find(name_or_id)
        return replace(info, log_kept_bytes=self.kept) if info else None


@pytest.mark.parametrize("kept", [0, 200, 500, 5000])
@pytest.mark.parametrize("killed", [False, True])
async def test_as_much_as_the_engine_keeps_before_the_first_reading_is_a_gap(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, kept: int, killed: bool
) -> None:
    """Then it can't be known whether there was more. The lines are 999 bytes in all."""
    monkeypatch.setattr(log_reader, "UNREAD_BYTES", 10)
    engine = KeepingEngine(range(1, 22))
    engine.kept = kept
    if killed:  # by an agent that was killed after a few lines of the first reading
        cursor = LogCursor(begun_ns=time.time_ns())
        cursor.advance([line(number) for number in range(1, 4)])
        key = await ended_with(engine)
        spool.open(key)
        spool.append(key, [line(number) for number in range(1, 4)], cursor)
        follower = LogFollower(engine, spool)
        await follower.take_up()
        assert await follower.drain(key, HANG_SECONDS)
    else:
        await follow_to_the_end(engine, spool)
    assert lines_of(spool) == [line(number).data for number in range(1, 22)]
    is_lost = 0 < kept < 1000
    assert gaps(spool) == ([UNREAD] if is_lost else [])
    assert end_of(spool).complete is not is_lost


async def test_lines_that_come_while_they_are_read_are_no_reason_for_a_gap(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "UNREAD_BYTES", 10)
    monkeypatch.setattr(time, "time_ns", lambda: line(2).ts_ns)
    engine = KeepingEngine(range(1, 22))
    engine.kept = 200
    await follow_to_the_end(engine, spool)
    assert (gaps(spool), end_of(spool)) == ([], LogEnd(True))


@pytest.mark.parametrize("driver", ["local", "json-file"])
async def test_docker_had_dropped_lines_before_they_were_read(
    docker_engine: DockerEngine, test_image: str, spool: Spool, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    small = {"Type": driver, "Config": {"max-size": "200k", "max-file": "2", "compress": "false"}}
    monkeypatch.setattr(create_config, "JOB_LOG", small)
    for count in (100, 20_000):
        key = make_key()
        command = ["seq", "1000001", str(1_000_000 + count)]
        new = make_new_container(make_owner(node=docker_engine._node, key=key), image=test_image, command=command)
        container_id = await docker_engine.create(new)
        await docker_engine.start(container_id)
        await asyncio.wait_for(docker_engine.wait(container_id), HANG_SECONDS)
        follower = LogFollower(docker_engine, spool)
        follower.follow(key, container_id, until_removed=False)
        assert await follower.drain(key, HANG_SECONDS)
        lines, told, end = lines_of(spool), gaps(spool), end_of(spool)
        assert lines[-1] == b"%d\n" % (1_000_000 + count)
        assert (len(lines) == count, told, end.complete) == (
            (True, [], True) if count == 100 else (False, [UNREAD], False)
        )
        spool.acknowledge({key: 10**9}, 0)


async def ended_with(engine: DummyEngine) -> ContainerKey:
    new = make_new_container(make_owner(node="node-1"), environment={"DUMMY_SLEEP": "0"})
    container_id = await engine.create(new)
    await engine.start(container_id)
    await engine.wait(container_id)
    return new.owner.key
