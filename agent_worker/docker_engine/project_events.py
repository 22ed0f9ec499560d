"""A stream of the engine's events for a socket of a project: read by a thread of its own, for as long as it is taken.

These threads are apart from those of the agent's work, and have a bound: whatever containers do with their sockets,
steps and instances go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

from docker.errors import DockerException

from agent_worker.docker_engine.connection import STREAMS, EngineConnection
from agent_worker.engine_socket.view import Json
from gamekeeper.errors import GamekeeperError, UnavailableError

MAX_BEHIND = 1000  # events that wait for a client; one that is slower loses its stream
END_SECONDS = 5.0  # of a thread whose stream was closed; it may hang in an engine that answers nobody
_ENDS_OF_A_CLOSED_STREAM = (GamekeeperError, OSError, ValueError, AttributeError)


class ProjectEvents:
    """Streams of one engine's events."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection
        self._open = 0

    async def read(self, asked: Mapping[str, Any]) -> AsyncGenerator[Json, None]:
        """First an empty event, when they are heard. Raises UnavailableError, also where too many are open."""
        if self._open >= STREAMS:
            raise UnavailableError("too many streams of events are open on this node")
        self._open += 1
        stream = _Stream(self._connection, asked)
        reading = asyncio.ensure_future(self._connection.call_stream(stream.read))
        reading.add_done_callback(self._ended)
        try:
            while (event := await stream.told.get()) is not None:
                yield event
            await reading
        finally:
            stream.close()
            await asyncio.wait([reading], timeout=END_SECONDS)

    def _ended(self, reading: asyncio.Future[None]) -> None:
        self._open -= 1
        if not reading.cancelled():
            reading.exception()  # whoever waited for it was told


class _Stream:
    """``told`` has its events, and None at its end."""

    def __init__(self, connection: EngineConnection, asked: Mapping[str, Any]) -> None:
        self.told: asyncio.Queue[Json | None] = asyncio.Queue()
        self._connection = connection
        self._asked = asked
        self._loop = asyncio.get_running_loop()
        self._events: Any = None
        self._is_given_up = False

    def read(self) -> None:
        """Blocks until the engine ends it, or ``close``. Raises what the engine's client raises."""
        try:
            self._read()
        except _ENDS_OF_A_CLOSED_STREAM:
            if not self._is_given_up:
                raise
        finally:
            self._tell(None)

    def _read(self) -> None:
        client: Any = self._connection.connect()
        try:
            self._events = client.events(decode=True, **self._asked)
            client._raise_for_status(self._events._response)  # it would tell the refusal as an event
            if self._is_given_up:
                return
            self._tell({})
            for event in self._events:
                if self.told.qsize() >= MAX_BEHIND:
                    return
                self._tell(event)
        finally:
            self._close()  # the engine waits for readers that are slow
            client.close()

    def _tell(self, event: Json | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.told.put_nowait, event)

    def close(self) -> None:
        """From any thread, also before it is open."""
        self._is_given_up = True
        self._close()

    def _close(self) -> None:
        if self._events is not None:
            with suppress(OSError, AttributeError, DockerException):  # it has ended meanwhile
                self._events.close()
