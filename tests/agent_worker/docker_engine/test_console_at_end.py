"""Consoles of a process that ends in the moment of attaching: the engine takes them, and says nothing more."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize
from gamekeeper.ports.engine_console import EngineConsole
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS

OWN = ConsoleRequest("id", make_key(), (), tty=False, size=ConsoleSize())
TRIES = 20
AT_ONCE = 5


async def made(engine: DockerEngine, image: str, script: str, *, tty: bool = False) -> str:
    owner = make_owner(node=engine._node)
    container_id = await engine.create(
        make_new_container(owner, image=image, command=["sh", "-c", script], tty=tty, stdin_open=True)
    )
    await engine.start(container_id)
    return container_id


async def to_its_end(console: EngineConsole) -> tuple[bytes, int | None]:
    text = b""
    async with asyncio.timeout(HANG_SECONDS):
        while (piece := await console.read()) is not None:
            text += piece.data
    code = await console.exit_code()
    await console.close()
    return text, code


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("history", [0, 20])
async def test_a_process_that_has_just_ended(
    docker_engine: DockerEngine, test_image: str, history: int, tty: bool
) -> None:
    container_id = await made(docker_engine, test_image, "echo bye; exit 3", tty=tty)
    await docker_engine.wait(container_id)
    console = await docker_engine.open_console(container_id, replace(OWN, history=history))
    text, code = await to_its_end(console)
    assert (b"bye" in text, code) == (history > 0, 3)


@pytest.mark.parametrize("history", [0, 20])
async def test_a_process_that_ends_at_any_moment(docker_engine: DockerEngine, test_image: str, history: int) -> None:
    async def open_while_it_ends(delay: float) -> tuple[bytes, int | None]:
        container_id = await made(docker_engine, test_image, "echo begun; read line; echo over; exit 3")

        async def end() -> None:
            await asyncio.sleep(delay)
            await docker_engine.type_in(container_id, b"end\n")

        ending = asyncio.create_task(end())
        async with asyncio.timeout(HANG_SECONDS):
            console = await docker_engine.open_console(container_id, replace(OWN, history=history))
        found = await to_its_end(console)
        await ending
        return found

    chance = random.Random(7)
    delays = [chance.uniform(0, 0.06) for _ in range(TRIES)]
    for first in range(0, TRIES, AT_ONCE):
        found = await asyncio.gather(*[open_while_it_ends(delay) for delay in delays[first : first + AT_ONCE]])
        assert {code for _, code in found} == {3}
        assert not history or {text for text, _ in found} == {b"begun\nover\n"}


async def test_another_start_is_not_shown_as_the_same_process(docker_engine: DockerEngine, test_image: str) -> None:
    """A console that came too late ends, though the container runs again before anybody asks."""
    container_id = await made(docker_engine, test_image, "exit 3")
    await docker_engine.wait(container_id)
    console = await docker_engine.open_console(container_id, OWN)
    reading = asyncio.create_task(to_its_end(console))
    await docker_engine.start(container_id)
    assert (await reading)[0] == b""
