"""HTTP on one such socket: h11 reads it, and nothing here interprets a byte of it.

A connection has a time for its head, for each answer and for its silence, and the socket a number of connections. A
request with a body, or one that is no plain HTTP/1, ends its connection.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import h11

from agent_worker.engine_socket.questions import Kind, Question, RefusedError, read_question
from gamekeeper.errors import GamekeeperError

MAX_CONNECTIONS = 32
MAX_HEAD = 16 * 1024
MAX_REQUESTS = 1000  # of a connection
READ = MAX_HEAD  # h11 measures what is not whole after a reading
JSON = "application/json"
LOOKING = (b"GET", b"HEAD")


@dataclass(frozen=True)
class Seconds:
    """Bounds: until the whole head is there, between two requests, and until what is written is taken."""

    head: float = 10.0
    idle: float = 60.0
    taken: float = 30.0


SECONDS = Seconds()


class Answering(Protocol):
    async def answer(self, question: Question) -> Any:
        """The answer as JSON. Raises RefusedError, and GamekeeperError where the engine gives none."""

    def events(self, question: Question) -> AsyncGenerator[Any, None]:
        """The events from now on, or from the question's time; first an empty one, when they are heard. Raises as
        ``answer`` does."""

    async def api_version(self) -> str:
        """The engine's newest version of its API; empty while it gives no answer."""


class SocketServer:
    """Serves a listening socket until it is closed."""

    def __init__(self, answering: Answering, seconds: Seconds = SECONDS) -> None:
        self._answering = answering
        self._seconds = seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        self._server = await asyncio.start_unix_server(self._take, sock=listening, limit=READ)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await _Connection(reader, writer, self._answering, self._seconds).live()
        except (OSError, TimeoutError, asyncio.CancelledError, h11.ProtocolError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()


class _Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answering: Answering, seconds: Seconds
    ) -> None:
        self._reader, self._writer = reader, writer
        self._answering = answering
        self._seconds = seconds
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    async def live(self) -> None:
        for _ in range(MAX_REQUESTS):
            try:
                request = await self._request()
                if request is None:
                    return
                await self._answer(request)
            except h11.RemoteProtocolError as error:
                await self._fail(error.error_status_hint or 400, "this is no request")
                return
            is_whole = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
            if not is_whole or request.method not in LOOKING:
                return
            self._http.start_next_cycle()

    async def _request(self) -> h11.Request | None:
        """The next request, without a body; None at the end of the connection."""
        request: h11.Request | None = None
        is_begun = bool(self._http.trailing_data[0])
        async with asyncio.timeout(self._seconds.head if is_begun else self._seconds.idle) as limit:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    data = await self._reader.read(READ)
                    if not is_begun:
                        is_begun = True
                        limit.reschedule(asyncio.get_running_loop().time() + self._seconds.head)
                    self._http.receive_data(data)
                elif isinstance(event, h11.Request):
                    if event.method not in LOOKING:
                        return event  # it is refused, whatever comes with it
                    _check_no_body(event)
                    request = event
                elif isinstance(event, h11.EndOfMessage):
                    return request
                else:  # the end, or a change of the protocol
                    return None

    async def _answer(self, request: h11.Request) -> None:
        is_head = request.method == b"HEAD"
        try:
            question = read_question(request.method.decode("ascii"), request.target.decode("ascii"))
            if question.kind is Kind.EVENTS and not is_head:
                await self._stream(question)
                return
            told = None if question.kind is Kind.EVENTS else await self._answering.answer(question)
            body, kind = (
                (told.encode(), "text/plain") if isinstance(told, str) else (_encoded(told), "application/json")
            )
            await self._send(200, body, kind, is_head=is_head)
        except RefusedError as error:
            await self._fail(error.status, str(error), is_head=is_head)
        except GamekeeperError as error:
            await self._fail(503, f"the engine gives no answer: {error}", is_head=is_head)

    async def _fail(self, status: int, words: str, *, is_head: bool = False) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._send(status, _encoded({"message": words}), JSON, is_head=is_head)

    async def _send(self, status: int, body: bytes, kind: str, *, is_head: bool) -> None:
        headers = [*await self._headers(kind), ("Content-Length", str(len(body)))]
        await self._write(h11.Response(status_code=status, headers=headers))
        if not is_head:
            await self._write(h11.Data(data=body))
        await self._write(h11.EndOfMessage())

    async def _headers(self, kind: str) -> list[tuple[str, str]]:
        """Those by which clients know an engine, and the version that they speak with it."""
        return [
            ("Content-Type", kind),
            ("Api-Version", await self._answering.api_version()),
            ("Docker-Experimental", "false"),
            ("Ostype", "linux"),
        ]

    async def _stream(self, question: Question) -> None:
        """Begins when the events are heard, so that a client which lists after that misses none. Ends with the events,
        or with the client."""
        gone = asyncio.create_task(self._reader.read(1))
        try:
            async with aclosing(self._answering.events(question)) as events:
                await anext(events)
                await self._write(h11.Response(status_code=200, headers=await self._headers(JSON)))
                async with aclosing(_until(gone, events)) as told:
                    async for event in told:
                        await self._write(h11.Data(data=_encoded(event) + b"\n"))
        finally:
            gone.cancel()
        if not gone.done():
            await self._write(h11.EndOfMessage())

    async def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            async with asyncio.timeout(self._seconds.taken):
                await self._writer.drain()


async def _until(gone: asyncio.Task[bytes], events: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """The events until their client is gone."""
    while True:
        waiting = asyncio.ensure_future(anext(events, None))
        try:
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not waiting.done():
                waiting.cancel()
                with suppress(asyncio.CancelledError):
                    await waiting
        if waiting.cancelled() or (event := waiting.result()) is None:
            return
        yield event


def _check_no_body(request: h11.Request) -> None:
    for name, value in request.headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            raise h11.RemoteProtocolError("a body", error_status_hint=413)


def _encoded(told: Any) -> bytes:
    return json.dumps(told).encode()
