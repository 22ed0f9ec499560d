"""A container that prints its secret in many ways, on a real engine: nobody sees it, and the console joins its log."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from pathlib import Path

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.spool import Spool
from agent_worker.masking.masked_engine import masked_engine
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.domain.log.log import LogEnd, LogStream
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize
from gamekeeper.ports.container_engine import ContainerEngine, StartError
from gamekeeper.ports.engine_console import EngineConsole
from tests.agent_worker.logs.shown_logs import end_of, records
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS

VALUE = b"tr0ub4dor-and-3.is/it?"
FILLER = 16 * 1024 - 5
TELLS = f"""
printf '%s\\n' "$X"; printf %s "$X" | base64; echo "$X" | base64
head -c {FILLER} /dev/zero | tr '\\0' x; printf '%s\\n' "$X"
echo "error: $X" >&2
printf 'say it: '; read line; echo "you said $line"
"""


async def started(bare: DockerEngine, image: str, secrets: SecretsOfContainers, script: str, *, tty: bool) -> str:
    owner = make_owner(node=bare._node)
    spec = {"command": ["sh", "-c", script], "environment": {"X": VALUE.decode()}, "tty": tty, "stdin_open": True}
    secrets.hold(owner.key.container_name, [VALUE])
    engine = masked_engine(bare, secrets)
    container_id = await engine.create(replace(make_new_container(owner, image=image, **spec), secrets=1))
    await engine.start(container_id)
    return container_id


async def opened(engine: ContainerEngine, container_id: str, *command: str, tty: bool = False) -> EngineConsole:
    request = ConsoleRequest("id", make_key(), command, tty=tty, size=ConsoleSize(), history=0 if command else 100)
    async with asyncio.timeout(HANG_SECONDS):
        return await engine.open_console(container_id, request)


async def until(console: EngineConsole, wanted: bytes | None) -> bytes:
    """The output until something is shown; to the end for None."""
    text = b""
    async with asyncio.timeout(HANG_SECONDS):
        while wanted is None or wanted not in text:
            if (piece := await console.read()) is None:
                assert wanted is None, text
                break
            text += piece.data
    return text


@pytest.mark.parametrize("tty", [False, True])
async def test_a_container_shows_its_secret_to_nobody(
    docker_engine: DockerEngine, test_image: str, tmp_path: Path, tty: bool
) -> None:
    secrets, spool = SecretsOfContainers(), Spool(tmp_path / "spool.db", reserve_bytes=0)
    engine = masked_engine(docker_engine, secrets)
    container_id = await started(docker_engine, test_image, secrets, TELLS, tty=tty)
    info = await engine.made(container_id)
    assert info is not None
    assert info.owner is not None
    assert info.secrets == 1
    follower = LogFollower(docker_engine, spool, secrets)
    follower.follow(info.owner.key, container_id, until_removed=False, one_file=True)
    console = await opened(engine, container_id)
    shown = await until(console, b"error: ***")
    await console.write(VALUE + b"\n")
    shown += await until(console, b"you said ***")
    await engine.wait(container_id)
    shown += await until(console, None)
    await console.close()
    assert await follower.drain(info.owner.key, HANG_SECONDS)
    log = records(spool)
    kept = b"".join(record.data for record in log if record.stream in (LogStream.STDOUT, LogStream.STDERR))
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for text in (shown, kept, on_disk):
        assert VALUE not in text
        assert base64.b64encode(VALUE)[:-4] not in text
        assert VALUE[5:] not in text
        assert b"***" in text
    for text in (shown, kept):
        told, _, rest = text.replace(b"\r", b"").partition(b"error: ***\n")  # streams have no order among them
        assert (told + rest).startswith(b"***\n***\n***\n" + b"x" * FILLER + b"***\n")
        assert (told + rest).count(b"x" * FILLER) == 1
    assert end_of(spool) == LogEnd(complete=True)
    spool.close()


@pytest.mark.parametrize("tty", [False, True])
async def test_a_command_in_a_container_shows_its_secret_to_nobody(
    docker_engine: DockerEngine, test_image: str, tty: bool
) -> None:
    secrets = SecretsOfContainers()
    engine = masked_engine(docker_engine, secrets)
    container_id = await started(docker_engine, test_image, secrets, "exec sleep 600", tty=False)
    console = await opened(engine, container_id, "sh", "-c", 'env; sleep 0.2; printf %s "$X" | base64', tty=tty)
    shown = await until(console, None)
    await console.close()
    assert b"X=***" in shown
    assert shown.count(b"***") == 2
    assert VALUE not in shown
    refusal = await refused(engine, container_id, f"/{VALUE.decode()}")
    assert b"***" in refusal
    assert VALUE not in refusal
    await engine.stop(container_id, 0)


async def refused(engine: ContainerEngine, container_id: str, command: str) -> bytes:
    """The words for a command that is not there: some engines say them on the console."""
    try:
        console = await opened(engine, container_id, command)
    except StartError as error:
        return str(error).encode()
    text = await until(console, None)
    await console.close()
    return text
