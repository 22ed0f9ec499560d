"""Viewers of a process that writes faster than they read: they are told what they miss, and hold nothing up."""

from __future__ import annotations

import asyncio
import re
import tracemalloc

import pytest

from agent_worker.node_link import viewing
from agent_worker.node_link.viewing import ViewedConsole
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import ConsoleSize, ConsoleText
from gamekeeper.errors import UnavailableError
from tests.factories import make_key
from tests.hang import HANG_SECONDS

KEY = InstanceKey(instance="arena", revision=1)
NOTE = re.compile(rb"\[(\d+) lines \((\d+) bytes\) .* left out: (.*)\]\n")
LINE = b"%07d " + b"x" * 91 + b"\n"  # a hundred bytes
BOUND = 256 * 1024


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that is soon reached."""
    monkeypatch.setattr(viewing, "MAX_BACKLOG", BOUND)
    monkeypatch.setattr(viewing, "GATHER_SECONDS", 0)


class Writing:
    """EngineConsole of a process that writes all it has as fast as it is read. ``read_all`` is set by then."""

    history = None

    def __init__(self, pieces: list[bytes], *, breaks: bool = False, stream: LogStream = LogStream.STDOUT) -> None:
        self._pieces = iter(pieces)
        self._breaks = breaks
        self._stream = stream
        self.read_all = asyncio.Event()
        self.is_closed = False

    async def read(self) -> ConsoleText | None:
        await asyncio.sleep(0)  # the engine is asked by a thread
        piece = next(self._pieces, None)
        if piece is not None:
            return ConsoleText(self._stream, piece)
        self.read_all.set()
        if self._breaks:
            raise UnavailableError("the console broke off")
        return None

    async def write(self, data: bytes) -> None:
        return None

    async def end_input(self) -> None:
        return None

    async def resize(self, size: ConsoleSize) -> None:
        return None

    async def exit_code(self) -> int | None:
        return 3

    async def close(self) -> None:
        self.is_closed = True


def lines(count: int, per_piece: int = 200) -> list[bytes]:
    written = [LINE % number for number in range(count)]
    return [b"".join(written[at : at + per_piece]) for at in range(0, count, per_piece)]


async def shown(console: ViewedConsole) -> tuple[bytes, list[tuple[int, int]]]:
    """All the output to the end, and of each note the lines and bytes that it tells of."""
    out, notes = b"", []
    async with asyncio.timeout(HANG_SECONDS):
        while (text := await console.read()) is not None:
            if text.stream is LogStream.STDERR and (note := NOTE.fullmatch(text.data.lstrip(b"\n"))):
                assert note[3] == b"gamekeeper instance logs arena"
                notes.append((int(note[1]), int(note[2])))
            else:
                out += text.data
    return out, notes


async def test_a_viewer_that_keeps_up_misses_nothing() -> None:
    pieces = lines(400)
    console = ViewedConsole(Writing(pieces), KEY)
    assert await shown(console) == (b"".join(pieces), [])
    assert await console.exit_code() == 3
    await console.close()


async def test_a_viewer_that_does_not_read_holds_nothing_up_and_is_told_what_it_missed() -> None:
    count = 30_000
    process = Writing(lines(count))
    console = ViewedConsole(process, KEY)
    first = await console.read()
    assert first is not None
    async with asyncio.timeout(HANG_SECONDS):
        await process.read_all.wait()  # though nobody reads
    out, ((missed, size),) = await shown(console)
    out = first.data + out
    assert out.count(b"\n") + missed == count
    assert len(out) + size == count * len(LINE % 0)
    assert BOUND // 4 < len(out) < 2 * BOUND
    numbers = [int(line[:7]) for line in out.splitlines()]
    at = first.data.count(b"\n")
    assert numbers[at:] == list(range(count - len(numbers) + at, count)), "the newest are there, without a hole"
    await console.close()


async def test_its_memory_is_bounded_also_by_short_pieces() -> None:
    process = Writing([b"x\n"] * 20_000)
    tracemalloc.start()
    console = ViewedConsole(process, KEY)
    async with asyncio.timeout(HANG_SECONDS):
        await process.read_all.wait()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    out, notes = await shown(console)
    assert (out.count(b"\n") + sum(missed for missed, _ in notes), len(notes)) == (20_000, 1)
    assert most < 2 * BOUND
    await console.close()


async def test_a_viewer_that_is_slow_again_and_again_is_told_each_time() -> None:
    """Its output and the lines that notes name are the whole, in one order."""
    count, shown_lines = 5_000, 0
    console = ViewedConsole(Writing(lines(count, per_piece=7)), KEY)
    out, told = b"", 0
    async with asyncio.timeout(HANG_SECONDS):
        while (text := await console.read()) is not None:
            if text.stream is LogStream.STDERR and (note := NOTE.fullmatch(text.data.lstrip(b"\n"))):
                shown_lines, told = out.count(b"\n"), told + int(note[1])
            else:
                out += text.data
                if told + shown_lines and out.count(b"\n") > shown_lines:
                    number = int(out.splitlines()[shown_lines][:7])
                    assert number == shown_lines + told, "what comes behind a note is what follows the lines it names"
            await asyncio.sleep(0.005)
    assert (out.count(b"\n") + told, told > 0) == (count, True)
    await console.close()


async def test_a_note_begins_on_a_line_of_its_own_and_is_no_output() -> None:
    process = Writing([b"half a l", *lines(5_000)])
    console = ViewedConsole(process, KEY)
    assert await console.read() == ConsoleText(LogStream.STDOUT, b"half a l")
    async with asyncio.timeout(HANG_SECONDS):
        await process.read_all.wait()
    note = await console.read()
    assert note is not None
    assert (note.stream, note.data[:2]) == (LogStream.STDERR, b"\n[")
    await console.close()


async def test_a_flood_without_a_line_is_told_in_bytes() -> None:
    process = Writing([b"x" * 1000] * 500)
    console = ViewedConsole(process, KEY)
    async with asyncio.timeout(HANG_SECONDS):
        await process.read_all.wait()
    out, notes = await shown(console)
    assert (sum(size for _, size in notes) + len(out), notes[0][0]) == (500_000, 0)
    await console.close()


async def test_the_two_streams_stay_apart() -> None:
    console = ViewedConsole(Writing([b"err\n"], stream=LogStream.STDERR), make_key())
    assert await console.read() == ConsoleText(LogStream.STDERR, b"err\n")
    assert await console.read() is None
    await console.close()


async def test_a_break_is_told_behind_all_that_came_before() -> None:
    process = Writing([b"one\n"], breaks=True)
    console = ViewedConsole(process, KEY)
    assert await console.read() == ConsoleText(LogStream.STDOUT, b"one\n")
    with pytest.raises(UnavailableError):
        await console.read()
    await console.close()
    assert process.is_closed
