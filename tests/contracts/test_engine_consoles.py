"""Consoles of both engines."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gamekeeper.ports.container_engine import StartError
from gamekeeper.ports.engine_console import EngineConsole
from tests.contracts.subject import Subject
from tests.factories import make_console
from tests.hang import HANG_SECONDS


async def until_text(console: EngineConsole, wanted: bytes) -> bytes:
    """All that is written until ``wanted`` was."""
    text = b""
    async with asyncio.timeout(HANG_SECONDS):
        while wanted not in text:
            piece = await console.read()
            assert piece is not None, text
            text += piece.data
    return text


async def echoes_to_its_end(console: EngineConsole) -> None:
    await console.write(b"hello \xff\n")
    await until_text(console, b"hello \xff\n")
    await console.end_input()
    async with asyncio.timeout(HANG_SECONDS):
        while await console.read() is not None:
            pass
    assert await console.exit_code() == 0


async def test_a_console_echoes_until_its_input_ends(subject: Subject) -> None:
    container_id = await running(subject)
    console = await subject.engine.open_console(container_id, make_console("cat"))
    await echoes_to_its_end(console)
    await console.close()
    await console.close()


@pytest.mark.parametrize(("history", "shown"), [(1, b"two\n"), (2, b"one\ntwo\n"), (3, b"one\ntwo\n")])
async def test_a_console_begins_with_the_lines_before(subject: Subject, history: int, shown: bytes) -> None:
    container_id = await subject.engine.create(subject.new(sleep=60, output="one\ntwo\n"))
    await subject.engine.start(container_id)
    async with asyncio.timeout(HANG_SECONDS):
        while len(await subject.engine.last_log_lines(container_id, 3)) < 2:
            await asyncio.sleep(0.05)
    console = await subject.engine.open_console(container_id, replace(make_console(), history=history))
    assert (await until_text(console, b"two\n")) == shown
    assert console.history is not None
    assert (console.history.since_ns > 0) == (history > 2)
    await console.close()


async def test_a_console_to_what_does_not_run(subject: Subject) -> None:
    ended = await subject.ended(subject.new())
    with pytest.raises(StartError):
        await subject.engine.open_console(ended, make_console("cat"))


async def running(subject: Subject) -> str:
    container_id = await subject.engine.create(subject.new(sleep=60))
    await subject.engine.start(container_id)
    return container_id


async def test_a_look_into_what_has_ended(subject: Subject) -> None:
    container_id = await subject.ended(subject.new(exit_code=3))
    console = await subject.engine.look_in(container_id, make_console("cat"))
    await echoes_to_its_end(console)
    await console.close()
    info = await subject.engine.find(container_id)
    assert info is not None
    assert info.exit_code == 3
    with pytest.raises(StartError):
        await subject.engine.look_in("gone", make_console("cat"))
