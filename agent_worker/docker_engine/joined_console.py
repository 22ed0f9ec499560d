"""A console of a container's own process that begins with the end of its log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from agent_worker.docker_engine.console import DockerConsole
from agent_worker.docker_engine.container_logs import ContainerLogs
from agent_worker.docker_engine.followed_log import FollowedLog
from agent_worker.docker_engine.inspected import Made
from agent_worker.docker_engine.joining import Joining
from agent_worker.docker_engine.log_stream import LogPump
from gamekeeper.domain.run.console import ConsoleHistory, ConsoleSize, ConsoleText

MORE_LINES = 1000  # that may come between what is asked
MOST_COUNTED = 1000


class JoinedConsole:
    """EngineConsole over ``console``. ``history`` is there once it is joined."""

    def __init__(self, console: DockerConsole) -> None:
        self.history: ConsoleHistory | None = None
        self._console = console
        self._ready: deque[ConsoleText] = deque()
        self._reading: asyncio.Future[ConsoleText | None] | None = None

    async def begin(self, log: FollowedLog, pump: LogPump, *, tty: bool) -> None:
        self._ready.extend(await Joining(self._next, log, pump.batches(), tty=tty).join())

    async def read(self) -> ConsoleText | None:
        if self._ready:
            return self._ready.popleft()
        return await self._next() if self._reading is not None else await self._console.read()

    async def _next(self) -> ConsoleText | None:
        """A piece that is read is kept for the next call where this one is cancelled, and so is the end."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._console.read())
        text = await asyncio.shield(self._reading)
        if text is not None:
            self._reading = None
        return text

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


async def open_joined(
    logs: ContainerLogs, made: Made, open_console: Callable[[], Awaitable[DockerConsole]], count: int
) -> JoinedConsole:
    """A console that begins with the last ``count`` lines. Raises StartError, and GoneError."""
    last = await logs.last_lines(made.info.id, min(count, MOST_COUNTED))
    mark = last[-1] if last and last[-1].data.endswith(b"\n") else None
    pump = await logs.begin_following(made.info.id, count + MORE_LINES)
    try:
        joined = JoinedConsole(await open_console())
        try:
            log = FollowedLog(mark, count, logs.ends_cut_line)
            await joined.begin(log, pump, tty=made.tty)
        except BaseException:
            await joined.close()
            raise
    finally:
        pump.close()
    created = made.info.created_at
    is_whole = _is_whole(len(last), log, count)
    since_ns = int(created.timestamp() * 1e6) * 1000 if created is not None and is_whole else 0
    joined.history = ConsoleHistory(since_ns)
    return joined


def _is_whole(last: int, log: FollowedLog, count: int) -> bool:
    """True when fewer lines than ``count`` are all that the container has written. Of those before the attach, up to
    a bound were counted as ``last``; beyond that, the followed log tells it that was cut nowhere."""
    if last < min(count, MOST_COUNTED):
        return log.marked in (0, last)
    return last < count and (log.marked or log.taken) < count and log.taken < count + MORE_LINES
