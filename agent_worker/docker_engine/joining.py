"""Joins a console of a container's own process to the end of its log: one run of output, nothing missing or twice.

The log is followed from before the attach on, so it has all that comes before the console, and the beginning of the
console: ``seam`` finds where that is. Meanwhile the console is read on, up to a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from itertools import groupby

from agent_worker.docker_engine.followed_log import FollowedLog
from agent_worker.docker_engine.seam import HEAD_BYTES, StreamSeam
from gamekeeper.domain.log.log import LogLine, LogStream
from gamekeeper.domain.run.console import MAX_PIECE_BYTES, ConsoleText
from gamekeeper.errors import UnavailableError

HELD_BYTES = HEAD_BYTES  # a process that writes more meanwhile is held up, for that moment
MOST_BYTES = 8 * 1024 * 1024  # of the log
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 3.0  # with a log that should say more, and does not
UNKNOWN = b"[what was written at this moment may be missing here, or be here twice]\n"

Batches = AsyncGenerator[Sequence[LogLine], None]
Read = Callable[[], Awaitable[ConsoleText | None]]


class Joining:
    """``read`` reads the console, and loses nothing when it is cancelled. ``log`` takes what ``batches`` give."""

    def __init__(self, read: Read, log: FollowedLog, batches: Batches, *, tty: bool) -> None:
        self._read = read
        self._log = log
        self._batches = batches
        self._held: list[ConsoleText] = []
        self._held_bytes = 0
        self._news = asyncio.Event()
        self._is_over = False
        self._now = asyncio.get_running_loop().time
        self._told = self._now()
        streams = [LogStream.STDOUT] if tty else [LogStream.STDOUT, LogStream.STDERR]
        self._seams = {stream: StreamSeam(self._told) for stream in streams}

    async def join(self) -> list[ConsoleText]:
        """The output up to what ``read`` gives next."""
        tasks = [asyncio.create_task(self._hold()), asyncio.create_task(self._follow())]
        try:
            is_known = await self._find_seams()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        before = _texts(self._log.last_before(self._places()))
        return [*before, *([] if is_known else [ConsoleText(LogStream.STDERR, UNKNOWN)]), *self._held]

    def _places(self) -> dict[LogStream, int]:
        places = {}
        for stream, seam in self._seams.items():
            text, begin = self._log.text_of(stream), self._log.begins.get(stream, 0)
            places[stream] = seam.guess(text, begin)
        return places

    async def _hold(self) -> None:
        """Reads the console, as much as may be held."""
        with suppress(UnavailableError):  # the next reading raises it again
            while self._held_bytes < HELD_BYTES and (text := await self._read()) is not None:
                self._held.append(text)
                self._held_bytes += len(text.data)
                self._seams[text.stream].add(text.data)
        self._is_over = self._held_bytes < HELD_BYTES

    async def _follow(self) -> None:
        with suppress(UnavailableError):
            async with aclosing(self._batches) as batches:
                async for lines in batches:
                    self._log.add(lines)
                    self._told = self._now()
                    self._news.set()

    async def _find_seams(self) -> bool:
        """True once they are certain, False when they can't be."""
        while self._log.size < MOST_BYTES and self._now() - self._told < PATIENCE_SECONDS:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
            self._news.clear()
            self._look()
            if all(seam.is_certain for seam in self._seams.values()):
                return True
            if all(seam.place is None for seam in self._seams.values() if seam.has_line):
                self._log.forget()
        return False

    def _look(self) -> None:
        now, log = self._now(), self._log
        for stream, seam in self._seams.items():
            if not seam.is_sure:  # what stood still for a while may go on
                seam.look(log.text_of(stream), log.begins.get(stream, 0), now, ended=self._is_over)


def _texts(lines: Iterable[LogLine]) -> list[ConsoleText]:
    """In pieces, each of one stream, as large as they may be."""
    texts: list[ConsoleText] = []
    for stream, group in groupby(lines, key=lambda line: line.stream):
        data = b"".join([line.data for line in group])
        texts += [ConsoleText(stream, data[at : at + MAX_PIECE_BYTES]) for at in range(0, len(data), MAX_PIECE_BYTES)]
    return texts
