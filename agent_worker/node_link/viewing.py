"""The console of a container's own process, which a viewer may read as slowly as it likes.

Docker holds up the process itself while somebody who is attached does not read: a viewer with a bad network would stop
a game server, and its log. So all output is read as it comes. As much as a bound allows is kept for a viewer that is
behind; beyond that the oldest lines are left out, counted, and told with the place where they are.
"""

from __future__ import annotations

import asyncio
from collections import deque

from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import MAX_PIECE_BYTES, ConsoleSize, ConsoleText
from gamekeeper.ports.engine_console import EngineConsole

MAX_BACKLOG = 4 * 1024 * 1024  # bytes for one viewer, with what each piece costs
PIECE_COST = 200
GATHER_SECONDS = 0.01  # a process that writes line by line is read a hundred times a second, not at each line


class ViewedConsole:
    """EngineConsole over one of the engine, which it reads in a task of its own until it is closed."""

    def __init__(self, console: EngineConsole, key: ContainerKey) -> None:
        self.history = console.history
        self._console = console
        self._where = _log_of(key)
        self._backlog: deque[ConsoleText] = deque()
        self._held = 0
        self._missed_lines = self._missed_bytes = 0
        self._ends_line = True
        self._came = asyncio.Event()
        self._reading = asyncio.create_task(self._read_all())
        self._reading.add_done_callback(lambda _: self._came.set())

    async def _read_all(self) -> None:
        while (text := await self._console.read()) is not None:
            self._backlog.append(text)
            self._held += len(text.data) + PIECE_COST
            if self._held > MAX_BACKLOG:
                self._leave_out()
            self._came.set()
            if len(text.data) < MAX_PIECE_BYTES // 2:
                await asyncio.sleep(GATHER_SECONDS)

    def _leave_out(self) -> None:
        """Drops the older half, and what is left there of a line."""
        while self._backlog and self._held > MAX_BACKLOG // 2:
            self._drop(self._take_first().data)
        while self._backlog:
            text = self._take_first()
            end = text.data.find(b"\n") + 1 or len(text.data)
            self._drop(text.data[:end])
            if left := text.data[end:]:
                self._backlog.appendleft(ConsoleText(text.stream, left))
                self._held += len(left) + PIECE_COST
            if text.data[end - 1 : end] == b"\n":
                return

    def _take_first(self) -> ConsoleText:
        text = self._backlog.popleft()
        self._held -= len(text.data) + PIECE_COST
        return text

    def _drop(self, data: bytes) -> None:
        self._missed_bytes += len(data)
        self._missed_lines += data.count(b"\n")

    async def read(self) -> ConsoleText | None:
        while not self._backlog and not self._missed_bytes:
            if self._reading.done():
                self._reading.result()
                return None
            self._came.clear()
            await self._came.wait()
        if self._missed_bytes:
            return self._note()
        text = self._joined()
        self._ends_line = text.data.endswith(b"\n")
        return text

    def _joined(self) -> ConsoleText:
        """The oldest pieces of one stream as one."""
        first = self._take_first()
        pieces, size = [first.data], len(first.data)
        while self._backlog and self._backlog[0].stream is first.stream and size < MAX_PIECE_BYTES:
            pieces.append(self._take_first().data)
            size += len(pieces[-1])
        return ConsoleText(first.stream, b"".join(pieces))

    def _note(self) -> ConsoleText:
        """Words on what was left out. They go to the stream for errors, so that output in a file holds none of them."""
        count, size = self._missed_lines, self._missed_bytes
        self._missed_lines = self._missed_bytes = 0
        begin = "" if self._ends_line else "\n"
        self._ends_line = True
        text = f"[{count} lines ({size} bytes) came faster than they were read here, and are left out: {self._where}]"
        return ConsoleText(LogStream.STDERR, f"{begin}{text}\n".encode())

    async def write(self, data: bytes) -> None:
        await self._console.write(data)

    async def end_input(self) -> None:
        """The end of one viewer's input is not that of the process. Docker ends the output with it, too: a line that
        is piped into the console would be typed, and its answer never seen."""

    async def resize(self, size: ConsoleSize) -> None:
        await self._console.resize(size)

    async def exit_code(self) -> int | None:
        return await self._console.exit_code()

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._console.close()


def _log_of(key: ContainerKey) -> str:
    """The command that prints all that the process wrote."""
    if isinstance(key, InstanceKey):
        return f"gamekeeper instance logs {key.instance}"
    return f"gamekeeper runs logs {key.run_id} {key.step}"
