"""Docker was away, and its log of a container is not what it was: the loss is recorded, and what is left is kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.log_reader import LOST, UNREADABLE
from agent_worker.logs.spool import Spool
from gamekeeper.ports.container_engine import NewContainer
from tests.agent_worker.logs.shown_logs import end_of, gaps, lines_of
from tests.factories import make_new_container, make_owner
from tests.fixtures.own_docker import OwnDocker
from tests.hang import HANG_SECONDS

LINES = 200
SCRIPT = (
    f"trap 'exit 3' TERM; i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; done; while :; do sleep 0.1; done"
)
EXPECTED = [b"line %d\n" % number for number in range(1, LINES + 1)]


async def until_lines(spool: Spool, count: int) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while len(lines_of(spool)) < count:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def following(own_docker: OwnDocker, spool: Spool) -> AsyncIterator[tuple[DockerEngine, LogFollower]]:
    """An agent's part, which is gone while Docker is: the SDK leaves refused connections to the garbage collector."""
    engine = DockerEngine("node-1", own_docker.socket)
    follower = LogFollower(engine, spool)
    yield engine, follower
    await follower.close()
    engine.close()


def container(image: str) -> NewContainer:
    owner = make_owner(node="node-1")
    return make_new_container(owner, image=image, command=["sh", "-c", SCRIPT], network_mode="none")


@pytest.mark.timeout(3 * HANG_SECONDS)
@pytest.mark.parametrize("left", [0.0, 0.5, 1.0])
async def test_the_log_of_a_container_is_cut_while_docker_is_stopped(
    own_docker: OwnDocker, test_image: str, spool: Spool, left: float
) -> None:
    new = container(test_image)
    async with following(own_docker, spool) as (engine, follower):
        container_id = await engine.create(new)
        await engine.start(container_id)
        follower.follow(new.owner.key, container_id, until_removed=False)
        await until_lines(spool, LINES)
    await asyncio.to_thread(own_docker.stop)
    cut(own_docker.log_file(container_id), left)
    await asyncio.to_thread(own_docker.start)
    async with following(own_docker, spool) as (_, follower):
        await follower.take_up()
        assert await follower.drain(new.owner.key, HANG_SECONDS)
    assert lines_of(spool) == EXPECTED
    end = end_of(spool)
    assert end.complete is (left == 1)
    if not end.complete:
        assert end.reason == LOST or end.reason.startswith(UNREADABLE)
        assert gaps(spool) == ([LOST] if end.reason == LOST else [])


def cut(path: Path, left: float) -> None:
    os.truncate(path, int(path.stat().st_size * left))
