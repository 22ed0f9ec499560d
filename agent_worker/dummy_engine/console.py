"""A console of a container that only pretends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent_worker.dummy_engine.container import KILLED
from gamekeeper.domain.log.log import LogLine, LogStream
from gamekeeper.domain.run.console import ConsoleHistory, ConsoleRequest, ConsoleSize, ConsoleText


class DummyConsole:
    """Says what it was told to run and how large it is, then echoes; ``exit N`` ends it, also as its command."""

    def __init__(
        self, request: ConsoleRequest, before: Sequence[LogLine] = (), history: ConsoleHistory | None = None
    ) -> None:
        """Begins with the lines ``before``, of which ``history`` tells."""
        self.history = history
        self._exit_code: int | None = None
        self._written: asyncio.Queue[ConsoleText | None] = asyncio.Queue()
        for line in before:
            self._written.put_nowait(ConsoleText(line.stream, line.data))
        self._say(" ".join(request.command) or "attached")
        self._say(f"{request.size.columns}x{request.size.rows}")
        if request.command[:1] == ("exit",):
            self._end(int(request.command[1]))

    def _say(self, text: str, stream: LogStream = LogStream.STDOUT) -> None:
        self._written.put_nowait(ConsoleText(stream, text.encode() + b"\n"))

    def _end(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._written.put_nowait(None)

    async def read(self) -> ConsoleText | None:
        return await self._written.get()

    async def write(self, data: bytes) -> None:
        words = data.decode(errors="replace").split()
        if words[:1] == ["exit"]:
            self._end(int(words[1]))
        else:
            self._written.put_nowait(ConsoleText(LogStream.STDOUT, data))

    async def end_input(self) -> None:
        self._say("end of input", LogStream.STDERR)
        self._end(0)

    async def resize(self, size: ConsoleSize) -> None:
        self._say(f"{size.columns}x{size.rows}")

    async def exit_code(self) -> int | None:
        return self._exit_code

    async def close(self) -> None:
        self._end(KILLED)
