"""HTTP on one connection of such a socket: h11 reads it, and nothing here interprets a byte of it.

A connection has a time for its head, for each answer and for its silence. A request with a body, or one that is no
plain HTTP/1, ends its connection. It reads only when it wants to: what a client sends meanwhile stays with the kernel.
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

from agent_worker.engine_socket.pace import Pace
from agent_worker.engine_socket.questions import Kind, Question, RefusedError, read_question
from gamekeeper.errors import GamekeeperError, InvalidError

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


class Connection:
    def __init__(self, accepted: socket.socket, answering: Answering, seconds: Seconds, pace: Pace) -> None:
        self._socket = accepted
        self._answering = answering
        self._seconds = seconds
        self._pace = pace
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    async def live(self) -> None:
        """Answers until one of the two has enough. Raises OSError, TimeoutError and h11.ProtocolError."""
        for _ in range(MAX_REQUESTS):
            try:
                request = await self._request()
                if request is None:
                    return
                await self._pace.step()
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
                    data = await self._read(READ)
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
            body, kind = (told.encode(), "text/plain") if isinstance(told, str) else (_encoded(told), JSON)
            await self._send(200, body, kind, is_head=is_head)
        except RefusedError as error:
            await self._fail(error.status, str(error), is_head=is_head)
        except InvalidError as error:
            await self._fail(400, str(error), is_head=is_head)
        except GamekeeperError:  # its words may name places of the machine
            await self._fail(503, "the engine gives no answer", is_head=is_head)

    async def _fail(self, status: int, words: str, *, is_head: bool = False) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._send(status, _encoded({"message": words}), JSON, is_head=is_head)

    async def _send(self, status: int, body: bytes, kind: str, *, is_head: bool) -> None:
        headers = [*await self._headers(kind), ("Content-Length", str(len(body)))]
        data = [] if is_head else [h11.Data(data=body)]
        await self._write(h11.Response(status_code=status, headers=headers), *data, h11.EndOfMessage())

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
        gone = asyncio.create_task(self._gone())
        try:
            async with aclosing(_until(gone, self._answering.events(question))) as told:
                async for event in told:
                    if not event:
                        await self._write(h11.Response(status_code=200, headers=await self._headers(JSON)))
                        continue
                    await self._write(h11.Data(data=_encoded(event) + b"\n"))
            if not gone.done():
                await self._write(h11.EndOfMessage())
        finally:
            gone.cancel()
            await asyncio.wait([gone])  # it looks at the socket, which is closed next

    async def _gone(self) -> None:
        """Ends when the client hangs up, or says more."""
        with suppress(OSError):
            await self._read(1)

    async def _read(self, count: int) -> bytes:
        await self._pace.step()
        data = await asyncio.get_running_loop().sock_recv(self._socket, count)
        await self._pace.step(len(data) // 1024)  # a head of thousands of fields costs milliseconds
        return data

    async def _write(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        async with asyncio.timeout(self._seconds.taken):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)


async def _until(gone: asyncio.Task[None], events: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """The events until their client is gone."""
    async with aclosing(events):
        while True:
            waiting = asyncio.ensure_future(anext(events, None))
            try:
                await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not waiting.done():
                    waiting.cancel()
                    await asyncio.gather(waiting, return_exceptions=True)
            if waiting.cancelled() or (event := waiting.result()) is None:
                return
            yield event


def _check_no_body(request: h11.Request) -> None:
    for name, value in request.headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            raise h11.RemoteProtocolError("a body", error_status_hint=413)


def _encoded(told: Any) -> bytes:
    return json.dumps(told).encode()
