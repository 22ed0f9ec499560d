"""Consoles on a real engine: streams, terminals, and what becomes of a command when its client is gone."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize
from gamekeeper.ports.engine_console import EngineConsole
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS


@pytest.fixture
async def container_id(docker_engine: DockerEngine, test_image: str) -> str:
    script = "trap 'exit 0' TERM; while true; do echo tick; sleep 0.2; done"
    new = make_new_container(make_owner(node=docker_engine._node), image=test_image, command=["sh", "-c", script])
    made = await docker_engine.create(new)
    await docker_engine.start(made)
    return made


def request(*command: str, tty: bool = False) -> ConsoleRequest:
    return ConsoleRequest("id", make_key(), command, tty, ConsoleSize(100, 30))


async def rest_of(console: EngineConsole) -> dict[LogStream, bytes]:
    found = {LogStream.STDOUT: b"", LogStream.STDERR: b""}
    async with asyncio.timeout(HANG_SECONDS):
        while (text := await console.read()) is not None:
            found[text.stream] += text.data
    return found


async def until(console: EngineConsole, wanted: bytes) -> None:
    text = b""
    async with asyncio.timeout(HANG_SECONDS):
        while wanted not in text:
            piece = await console.read()
            assert piece is not None, text
            text += piece.data


async def test_two_streams_and_an_exit_code(docker_engine: DockerEngine, container_id: str) -> None:
    console = await docker_engine.open_console(container_id, request("sh", "-c", "echo out; echo err >&2; exit 7"))
    assert await rest_of(console) == {LogStream.STDOUT: b"out\n", LogStream.STDERR: b"err\n"}
    assert await console.exit_code() == 7
    await console.close()


async def test_a_terminal_has_its_size(docker_engine: DockerEngine, container_id: str) -> None:
    console = await docker_engine.open_console(container_id, request("sh", tty=True))
    await console.resize(ConsoleSize(120, 40))
    await console.write(b"stty size; tty\n")
    await until(console, b"40 120\r\n/dev/pts/")
    await console.write(b"exit 3\n")
    await rest_of(console)
    assert await console.exit_code() == 3
    await console.close()


async def test_a_process_reads_what_was_typed_and_nothing_else(docker_engine: DockerEngine, test_image: str) -> None:
    """A body of the request would be typed as well, at times: the engine hands on all that comes behind the head."""
    owner = make_owner(node=docker_engine._node)
    new = make_new_container(owner, image=test_image, command=["cat"], stdin_open=True)
    container_id = await docker_engine.create(new)
    await docker_engine.start(container_id)
    for number in range(0, 40, 2):
        await docker_engine.type_in(container_id, b"%d\n" % number)
        console = await docker_engine.open_console(container_id, request())
        await console.write(b"%d\n" % (number + 1))
        await until(console, b"%d\n" % (number + 1))
        await console.close()
    await docker_engine.stop(container_id, 0)
    batches = [batch async for batch in docker_engine.read_logs(container_id, 0, follow=False)]
    assert [line.data for batch in batches for line in batch] == [b"%d\n" % number for number in range(40)]


async def test_a_command_that_is_not_there(docker_engine: DockerEngine, container_id: str) -> None:
    console = await docker_engine.open_console(container_id, request("/no/such"))
    said = await rest_of(console)
    assert b"no such file" in said[LogStream.STDOUT] + said[LogStream.STDERR]
    assert await console.exit_code() in (126, 127)
    await console.close()


def processes_in(container_id: str) -> list[str]:
    """Their command lines; the engine's own list needs a ps, which a small machine has not."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if container_id in Path(f"/proc/{process.pid}/cgroup").read_text():
                found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.parametrize("command", ["sleep 1000", "trap '' HUP; sleep 1000"])
@pytest.mark.parametrize("tty", [False, True])
async def test_hanging_up_ends_the_command(
    docker_engine: DockerEngine, container_id: str, command: str, tty: bool
) -> None:
    console = await docker_engine.open_console(
        container_id, request("sh", "-c", f"echo begun; {command}; true", tty=tty)
    )
    await until(console, b"begun")
    await console.close()
    async with asyncio.timeout(HANG_SECONDS):  # on a busy machine a process that was killed has yet to die
        while any("begun" in process or "sleep 1000" in process for process in processes_in(container_id)):
            await asyncio.sleep(0.01)
    assert any("tick" in process for process in processes_in(container_id))


async def test_attached_to_the_process_itself(docker_engine: DockerEngine, container_id: str) -> None:
    console = await docker_engine.open_console(container_id, request())
    await until(console, b"tick\n")
    await console.close()
    info = await docker_engine.find(container_id)
    assert info is not None
    assert info.status == "running"
    console = await docker_engine.open_console(container_id, request())
    stopping = asyncio.create_task(docker_engine.stop(container_id, 5))
    await rest_of(console)
    await stopping
    assert await console.exit_code() == 0
    await console.close()


async def test_attached_to_a_process_that_reads(docker_engine: DockerEngine, test_image: str) -> None:
    new = make_new_container(make_owner(node=docker_engine._node), image=test_image, command=["cat"], stdin_open=True)
    made = await docker_engine.create(new)
    await docker_engine.start(made)
    console = await docker_engine.open_console(made, request())
    await console.write(b"say hello\n")
    await until(console, b"say hello\n")
    await console.close()
    info = await docker_engine.find(made)
    assert info is not None
    assert info.status == "running"  # leaving does not end its input
