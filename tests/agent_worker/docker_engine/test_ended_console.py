"""A look into an ended container shows its files, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import docker
import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.docker_engine.ended_console import LOOKS_IN
from gamekeeper.ports.container_engine import StartError
from gamekeeper.ports.engine_console import EngineConsole
from tests.factories import make_console, make_new_container, make_owner
from tests.hang import HANG_SECONDS


async def ended(engine: DockerEngine, image: str, **fields: Any) -> str:
    command = ["sh", "-c", "echo broken > /tmp/why; exit 3"]
    new = make_new_container(make_owner(node=engine._node), image=image, command=command, **fields)
    container_id = await engine.create(new)
    await engine.start(container_id)
    await engine.wait(container_id)
    return container_id


async def output(console: EngineConsole) -> bytes:
    text = b""
    async with asyncio.timeout(HANG_SECONDS):
        while (piece := await console.read()) is not None:
            text += piece.data
    return text


def left(engine: DockerEngine) -> tuple[int, int]:
    client = docker.from_env()
    filters: dict[str, Any] = {"label": f"{LOOKS_IN}={engine._node}"}
    found = (
        len(client.containers.list(all=True, ignore_removed=True, filters=filters)),
        len(client.images.list(filters=filters)),
    )
    client.close()
    return found


async def test_it_sees_what_the_container_wrote(docker_engine: DockerEngine, test_image: str) -> None:
    container_id = await ended(docker_engine, test_image, environment={"MAP": "dm1"}, working_dir="/tmp")
    look = make_console("sh", "-c", "cat why; echo $MAP; exit 4")
    console = await docker_engine.look_in(container_id, look)
    assert await output(console) == b"broken\ndm1\n"
    assert await console.exit_code() == 4
    assert [info.id for info in await docker_engine.list_owned()] == [container_id]
    await console.close()
    assert left(docker_engine) == (0, 0)


async def test_it_has_the_ports_of_nobody(docker_engine: DockerEngine, test_image: str) -> None:
    """The port of a held server may be in use by then."""
    container_id = await ended(docker_engine, test_image, ports=["18391:80"])
    consoles = [await docker_engine.look_in(container_id, make_console("cat")) for _ in range(2)]
    assert left(docker_engine)[0] == 2
    for console in consoles:
        await console.close()
    assert left(docker_engine) == (0, 0)


async def test_what_a_killed_agent_left_is_swept_up(docker_engine: DockerEngine, test_image: str) -> None:
    container_id = await ended(docker_engine, test_image)
    await docker_engine.look_in(container_id, make_console("sleep", "1000"))
    assert left(docker_engine) == (1, 1)
    await docker_engine.sweep_consoles()
    assert left(docker_engine) == (0, 0)
    assert await docker_engine.find(container_id) is not None


async def test_a_command_that_does_not_exist_leaves_nothing(docker_engine: DockerEngine, test_image: str) -> None:
    container_id = await ended(docker_engine, test_image)
    with pytest.raises(StartError, match="no-such-command"):
        await docker_engine.look_in(container_id, make_console("no-such-command"))
    assert left(docker_engine) == (0, 0)
