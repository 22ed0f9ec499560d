"""A masked console: prompts come at once, values never, and nothing is lost."""

from __future__ import annotations

import asyncio

from agent_worker.masking.masked_console import MaskedConsole
from agent_worker.masking.masker import ValueMasker
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import MAX_PIECE_BYTES, ConsoleHistory, ConsoleSize, ConsoleText
from tests.agent_worker.masking.writing import Writing
from tests.hang import HANG_SECONDS

MASKER = ValueMasker([b"hunter2-hunter3"])


async def read_all(console: MaskedConsole) -> list[ConsoleText]:
    texts = []
    async with asyncio.timeout(HANG_SECONDS):
        while (text := await console.read()) is not None:
            texts.append(text)
    return texts


async def test_each_stream_is_masked_by_itself() -> None:
    pieces = [
        ConsoleText(LogStream.STDOUT, b"out hunter2"),
        ConsoleText(LogStream.STDERR, b"err hunter2-hunter3\n"),
        ConsoleText(LogStream.STDOUT, b"-hunter3 it is\nhun"),
    ]
    texts = await read_all(MaskedConsole(Writing(pieces), MASKER))
    assert [(text.stream, text.data) for text in texts] == [
        (LogStream.STDOUT, b"out "),
        (LogStream.STDERR, b"err ***\n"),
        (LogStream.STDOUT, b"*** it is\n"),
        (LogStream.STDOUT, b"hun"),
    ]


async def test_what_may_begin_a_value_is_shown_after_a_moment_while_it_is_short() -> None:
    """A prompt that ends like a value begins is shown though the process waits; a longer beginning is not."""
    writing = Writing([b"name, h", b"unter", b"s\r\n"], waits=True)
    console = MaskedConsole(writing, MASKER)
    async with asyncio.timeout(HANG_SECONDS):
        writing.go_on.release()
        assert await console.read() == ConsoleText(LogStream.STDOUT, b"name, ")
        assert await console.read() == ConsoleText(LogStream.STDOUT, b"h")
        writing.go_on.release()
        reading = asyncio.create_task(console.read())
        writing.go_on.release()
        assert await reading == ConsoleText(LogStream.STDOUT, b"unters\r\n")
        writing.go_on.release()
        assert await console.read() is None
        assert await console.read() is None


async def test_a_read_that_is_cancelled_loses_nothing() -> None:
    writing = Writing([b"hunter2-", b"hunter3\n"], waits=True)
    console = MaskedConsole(writing, MASKER)
    for _ in range(3):
        reading = asyncio.create_task(console.read())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writing.go_on.release()
    assert await read_all(console) == [ConsoleText(LogStream.STDOUT, b"***\n")]


async def test_no_piece_is_larger_than_it_may_be() -> None:
    console = MaskedConsole(Writing([b"hunter2", b"x" * MAX_PIECE_BYTES]), MASKER)
    texts = await read_all(console)
    assert b"".join(text.data for text in texts) == b"hunter2" + b"x" * MAX_PIECE_BYTES
    assert max(len(text.data) for text in texts) <= MAX_PIECE_BYTES


async def test_all_else_is_the_engines_own() -> None:
    writing = Writing([b"never read"], waits=True)
    console = MaskedConsole(writing, MASKER)
    assert console.history == ConsoleHistory(7)
    reading = asyncio.create_task(console.read())
    await asyncio.sleep(0)
    reading.cancel()
    await console.write(b"hunter2-hunter3\n")
    await console.resize(ConsoleSize(1, 2))
    await console.end_input()
    assert writing.typed == [b"hunter2-hunter3\n", ConsoleSize(1, 2), b""]
    assert await console.exit_code() == 3
    async with asyncio.timeout(HANG_SECONDS):
        await console.close()
    assert writing.is_closed
