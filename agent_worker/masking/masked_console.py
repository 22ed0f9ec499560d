"""A console in which secret values are masked, in each stream by itself.

A process that asks a question does not end its line, and what is typed is echoed byte by byte. So the end of the output
is held back only where it may be the beginning of a value; after a moment in which no more came it is shown, where it
is so short that it says little of the value. A longer beginning waits for what comes next.
"""

from __future__ import annotations

import asyncio
from collections import deque

from agent_worker.masking.mask_stream import MaskStream
from agent_worker.masking.masker import Masker
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import MAX_PIECE_BYTES, ConsoleSize, ConsoleText
from gamekeeper.ports.engine_console import EngineConsole

QUIET_SECONDS = 0.05


class MaskedConsole:
    """EngineConsole over another one."""

    def __init__(self, console: EngineConsole, masker: Masker) -> None:
        self.history = console.history
        self._console = console
        self._streams = {stream: MaskStream(masker) for stream in (LogStream.STDOUT, LogStream.STDERR)}
        self._ready: deque[ConsoleText] = deque()
        self._reading: asyncio.Future[ConsoleText | None] | None = None
        self._is_over = False

    async def read(self) -> ConsoleText | None:
        while not self._ready and not self._is_over:
            await self._next()
        return self._ready.popleft() if self._ready else None

    async def _next(self) -> None:
        """A piece that is read is kept for the next call where this one is cancelled."""
        self._reading = self._reading or asyncio.ensure_future(self._console.read())
        keeps = any(stream.keeps for stream in self._streams.values())
        await asyncio.wait({self._reading}, timeout=QUIET_SECONDS if keeps else None)
        if not self._reading.done():
            for name, stream in self._streams.items():
                self._add(name, stream.let_go())
            return
        text, self._reading = self._reading.result(), None
        if text is not None:
            self._add(text.stream, self._streams[text.stream].feed(text.data))
            return
        self._is_over = True
        for name, stream in self._streams.items():
            self._add(name, stream.end())

    def _add(self, stream: LogStream, data: bytes) -> None:
        for at in range(0, len(data), MAX_PIECE_BYTES):
            self._ready.append(ConsoleText(stream, data[at : at + MAX_PIECE_BYTES]))

    async def write(self, data: bytes) -> None:
        await self._console.write(data)

    async def end_input(self) -> None:
        await self._console.end_input()

    async def resize(self, size: ConsoleSize) -> None:
        await self._console.resize(size)

    async def exit_code(self) -> int | None:
        return await self._console.exit_code()

    async def close(self) -> None:
        await self._console.close()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
