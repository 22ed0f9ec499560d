"""The engine goes down and comes back, with the agent there or away: what is wished to run does, and none crashed.

It is never the engine of the machine's own address, and of another time zone.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import ContainerStatus
from tests.agent_worker.instance.node import KeptNode
from tests.agent_worker.instance.test_on_docker import server
from tests.fixtures.own_docker import OwnDocker, started_docker, tcp_door
from tests.hang import HANG_SECONDS


@contextmanager
def another_socket() -> Iterator[tuple[OwnDocker, str]]:
    """It has no default network: its process is seen."""
    with started_docker() as engine:
        yield engine, engine.socket


@contextmanager
def another_machine() -> Iterator[tuple[OwnDocker, str]]:
    """Nothing but its own words is known of it."""
    with started_docker(has_bridge=True) as engine, tcp_door(engine) as address:
        yield engine, address


@pytest.mark.parametrize("place", [another_socket, another_machine])
@pytest.mark.parametrize("agent_is_away", [False, True], ids=["agent there", "agent away"])
async def test_a_restart_of_the_engine_is_no_crash(
    place: Callable[[], AbstractContextManager[tuple[OwnDocker, str]]],
    agent_is_away: bool,
    tmp_path: Path,
    test_image: str,
) -> None:
    with place() as (own_docker, address):
        await restarted(own_docker, address, tmp_path, test_image, agent_is_away=agent_is_away)


async def restarted(own_docker: OwnDocker, address: str, tmp_path: Path, image: str, *, agent_is_away: bool) -> None:
    engine = DockerEngine("own", address)
    node = KeptNode(tmp_path, engine, image, "own")
    node.instance = f"game-{uuid.uuid4().hex[:6]}"
    node.begin()
    # it ends well on the engine's TERM, which by itself would be a stop
    outcome = await node.order(spec=server(node, container={"network_mode": "none"}))
    first = await node.found()
    if agent_is_away:
        await node.kill()
        engine.close()
    await asyncio.to_thread(own_docker.stop)
    await asyncio.to_thread(own_docker.start)
    if agent_is_away:
        engine = node.engine = DockerEngine("own", address)
        node.begin()
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            found = None
            with suppress(UnavailableError):  # over a connection of before
                found = await node.engine.find(first.id)
            if found is not None and found.status is ContainerStatus.RUNNING and found.started_at != first.started_at:
                break
            await asyncio.sleep(0.05)
    status = await node.until(lambda status: status.state is InstanceState.READY and status.seq > outcome.status.seq)
    assert status.crash_count == 0
    await node.kill()
    engine.close()
