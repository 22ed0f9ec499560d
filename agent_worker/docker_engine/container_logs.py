"""The output of a container that the engine keeps: from a time on, or its last lines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from docker.errors import DockerException
from urllib3.exceptions import HTTPError

from agent_worker.docker_engine.connection import CALL_TIMEOUT_SECONDS, EngineConnection
from agent_worker.docker_engine.errors import GoneError
from agent_worker.docker_engine.http10 import LOGS_URL, UNIX_URL
from agent_worker.docker_engine.inspected import Made
from agent_worker.docker_engine.log_stream import LogPump, closed_if_unused
from gamekeeper.domain.log.log import PART_BYTES, LogLine
from gamekeeper.errors import UnavailableError

NEWLINES_KEPT = (1, 42)  # the API of Docker 23.0


class ContainerLogs:
    """``look`` tells how a container was made: with a terminal its output is one stream."""

    def __init__(self, connection: EngineConnection, look: Callable[[str], Awaitable[Made]]) -> None:
        self._connection = connection
        self._look = look

    async def read(self, container_id: str, since_ns: int, *, follow: bool) -> AsyncGenerator[Sequence[LogLine], None]:
        try:
            tty = (await self._look(container_id)).tty
            response = await closed_if_unused(self._connection.call(self._open, container_id, since_ns, follow, "all"))
        except GoneError:
            return
        with _unbroken(container_id):
            async with aclosing(LogPump(response, tty=tty, swallows=self._swallows).batches()) as batches:
                async for lines in batches:
                    yield lines

    @property
    def _swallows(self) -> bool:
        return version_tuple(self._connection.api.api_version) < NEWLINES_KEPT

    async def last_lines(self, container_id: str, count: int) -> Sequence[LogLine]:
        with _unbroken(container_id):
            try:
                tty = (await self._look(container_id)).tty
                response = await closed_if_unused(self._connection.call(self._open, container_id, 0, False, str(count)))
                async with aclosing(LogPump(response, tty=tty).batches()) as batches:
                    return [line async for batch in batches for line in batch][-count:]
            except GoneError:
                return []

    async def begin_following(self, container_id: str, count: int) -> LogPump:
        """The last lines and, from the call on, those that come, with all their bytes. Raises GoneError."""
        tty = (await self._look(container_id)).tty
        with _unbroken(container_id):
            response = await closed_if_unused(self._connection.call(self._open, container_id, 0, True, str(count)))
        return LogPump(response, tty=tty, swallows=self._swallows)

    def ends_cut_line(self, line: LogLine) -> bool:
        """True for the last part of a line of several, whose newline the engine swallowed: all others are full."""
        size = len(line.data) - (len(line.data) > 1 and line.data.startswith(b"\n"))
        return self._swallows and size < PART_BYTES and not line.data.endswith(b"\n")

    def _open(self, container_id: str, since_ns: int, follow: bool, tail: str) -> Any:
        api = self._connection.api
        since = f"{since_ns // 1_000_000_000}.{since_ns % 1_000_000_000:09d}" if since_ns else "0"
        parameters = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow)), "since": since}
        parameters["tail"] = tail
        base = LOGS_URL if api.base_url.startswith(UNIX_URL) else api.base_url
        url = f"{base}/v{api.api_version}/containers/{container_id}/logs"
        response = api.get(url, params=parameters, stream=True, timeout=(CALL_TIMEOUT_SECONDS, None))
        if not response.ok:
            response.close()
        if response.status_code == 404:
            raise GoneError(container_id)
        response.raise_for_status()
        return response


@contextmanager
def _unbroken(container_id: str) -> Iterator[None]:
    try:
        yield
    except (OSError, DockerException, HTTPError) as error:
        raise UnavailableError(f"the log of container {container_id[:12]} broke off: {error}") from error


def version_tuple(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
