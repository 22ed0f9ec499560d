"""A console of a process that writes piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import ConsoleHistory, ConsoleSize, ConsoleText


class Writing:
    """EngineConsole. The next piece comes when ``go_on`` is released, where the process waits for that."""

    def __init__(self, pieces: Sequence[bytes | ConsoleText], *, waits: bool = False) -> None:
        self.history = ConsoleHistory(7)
        self._pieces = list(pieces)
        self._waits = waits
        self.go_on = asyncio.Semaphore(0)
        self.typed: list[bytes | ConsoleSize] = []
        self.is_closed = False

    async def read(self) -> ConsoleText | None:
        if self._waits:
            await self.go_on.acquire()
        if not self._pieces:
            return None
        piece = self._pieces.pop(0)
        return piece if isinstance(piece, ConsoleText) else ConsoleText(LogStream.STDOUT, piece)

    async def write(self, data: bytes) -> None:
        self.typed.append(data)

    async def end_input(self) -> None:
        self.typed.append(b"")

    async def resize(self, size: ConsoleSize) -> None:
        self.typed.append(size)

    async def exit_code(self) -> int | None:
        return 3

    async def close(self) -> None:
        self.is_closed = True
        self._waits = False
        self.go_on.release()
