"""An engine that hangs holds up whoever asks it, and nobody else."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from agent_worker.docker_engine.engine import DockerEngine
from gamekeeper.errors import UnavailableError
from tests.hang import HANG_SECONDS


async def test_the_first_question_to_an_engine_that_does_not_answer(tmp_path: Path) -> None:
    """The engine takes the connection, and hangs up only after the event loop has gone on."""
    went_on = threading.Event()
    loop = asyncio.get_running_loop()
    taken = asyncio.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def hang() -> bool:
            connection, _ = listener.accept()
            with connection:
                loop.call_soon_threadsafe(taken.set)
                return went_on.wait(HANG_SECONDS)

        hanging = loop.run_in_executor(None, hang)
        engine = DockerEngine("n", f"unix://{tmp_path / 's'}")
        try:
            asking = asyncio.create_task(engine.ping())
            async with asyncio.timeout(HANG_SECONDS):
                await taken.wait()
            assert not asking.done(), "the loop went on while the engine was asked"
            went_on.set()
            with pytest.raises(UnavailableError):
                await asking
            assert await hanging
        finally:
            went_on.set()
            engine.close()


async def test_an_engine_that_comes_later_is_found(docker_engine: DockerEngine, tmp_path: Path) -> None:
    engine = DockerEngine("n", f"unix://{tmp_path / 's'}")
    try:
        with pytest.raises(UnavailableError):
            await engine.ping()
        (tmp_path / "s").symlink_to(docker_engine._connection.address.removeprefix("unix://"))
        await engine.ping()
    finally:
        engine.close()
