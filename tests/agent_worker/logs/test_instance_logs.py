"""The log of a revision is one log over all starts, and over containers that were made anew."""

from __future__ import annotations

import asyncio

from agent_worker.dummy_engine import DummyEngine
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.spool import Spool
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.log.log import LogStream
from tests.agent_worker.logs.shown_logs import records
from tests.factories import make_new_container, make_owner
from tests.hang import HANG_SECONDS

KEY = InstanceKey(instance="game", revision=1)


async def one_life(engine: DummyEngine, spool: Spool, follower: LogFollower, count: int) -> None:
    """A container that writes a line, and is removed; ``count`` records are there then."""
    owner = make_owner(key=KEY, kind="service", lifetime="node")
    environment = {"DUMMY_OUTPUT": "up\n", "DUMMY_SLEEP": "0.01"}
    container_id = await engine.create(make_new_container(owner, environment=environment))
    await follower.begin_anew(KEY)
    await engine.start(container_id)
    await follower.take_up()
    await engine.wait(container_id)
    async with asyncio.timeout(HANG_SECONDS):
        while len(records(spool)) < count - 1:
            await asyncio.sleep(0.01)
        await engine.remove(container_id)
        follower.follow(KEY, container_id, until_removed=True)
        while len(records(spool)) < count:
            await asyncio.sleep(0.01)


async def test_numbers_go_on_in_a_new_container(spool: Spool) -> None:
    engine = DummyEngine("node-1")
    follower = LogFollower(engine, spool)
    await one_life(engine, spool, follower, 2)
    await one_life(engine, spool, follower, 4)
    found = records(spool)
    assert [record.seq for record in found] == [1, 2, 3, 4]
    assert [record.stream for record in found] == [LogStream.STDOUT, LogStream.END] * 2
    await follower.close()


async def test_a_log_that_ended_goes_on_when_its_container_is_started_again(spool: Spool) -> None:
    engine = DummyEngine("node-1")
    follower = LogFollower(engine, spool)
    owner = make_owner(key=KEY, kind="service", lifetime="node")
    environment = {"DUMMY_OUTPUT": "up\n", "DUMMY_SLEEP": "0.01"}
    container_id = await engine.create(make_new_container(owner, environment=environment))
    for _ in range(2):
        await follower.go_on(KEY)
        await engine.start(container_id)
        follower.follow(KEY, container_id, until_removed=True)
        await engine.wait(container_id)
        follower.follow(KEY, container_id, until_removed=False)  # another revision has taken its place
        assert await follower.drain(KEY, HANG_SECONDS)
    found = records(spool)
    assert [record.seq for record in found] == [1, 2, 3, 4]
    assert [record.stream for record in found] == [LogStream.STDOUT, LogStream.END] * 2
    await follower.close()
