"""The socket as hostile clients meet it: it answers what is asked rightly, and outlives the rest."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent_worker.engine_socket.connection import Seconds
from agent_worker.engine_socket.questions import Kind, Question, RefusedError
from agent_worker.engine_socket.server import MAX_CONNECTIONS, SocketServer
from gamekeeper.errors import InvalidError, UnavailableError
from tests.hang import HANG_SECONDS

GET = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
SHORT = Seconds(head=0.3, idle=0.6, taken=0.3)


class FakeAnswering:
    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.events_until = 3
        self.refuses = False
        self.are_over = asyncio.Event()

    async def api_version(self) -> str:
        return "1.41"

    async def answer(self, question: Question) -> Any:
        self.asked.append(question)
        if question.kind is Kind.CONTAINER:
            raise RefusedError(404, f"No such container: {question.id}")
        if question.kind is Kind.INFO:
            raise UnavailableError("/run/secret.sock is away")
        if question.kind is Kind.NETWORKS:
            raise InvalidError("there is no such driver")
        return "OK" if question.kind is Kind.PING else []

    async def events(self, question: Question) -> AsyncGenerator[Any, None]:
        if self.refuses:
            raise RefusedError(429, "too many")
        try:
            yield {}
            for number in range(self.events_until):
                yield {"number": number, "more": "x" * 1000}
        finally:
            self.are_over.set()


class Served:
    def __init__(self, path: Path, answering: FakeAnswering, server: SocketServer) -> None:
        self.path, self.answering, self.server = path, answering, server

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self.path))

    async def say(self, data: bytes) -> bytes:
        """All that is answered until the server hangs up."""
        reader, writer = await self.open()
        writer.write(data)
        answer = b""
        try:
            async with asyncio.timeout(HANG_SECONDS):
                while data := await reader.read(65536):
                    answer += data
        except ConnectionResetError:
            pass
        finally:
            writer.close()
        return answer


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    answering = FakeAnswering()
    server = SocketServer(answering, SHORT)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    server.start(listening)
    yield Served(tmp_path / "s", answering, server)
    server.close()


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


async def test_a_connection_answers_one_after_the_other(served: Served) -> None:
    refused = b"DELETE /containers/a HTTP/1.1\r\nHost: d\r\n\r\n"
    missing = b"GET /containers/a/json HTTP/1.1\r\nHost: d\r\n\r\n"
    away = b"GET /info HTTP/1.1\r\nHost: d\r\n\r\n"
    answer = await served.say(GET + missing + away + GET.replace(b"GET", b"HEAD") + refused + GET)
    assert statuses(answer) == [200, 404, 503, 200, 403]
    assert b"Api-Version: 1.41\r\n" in answer
    assert b"No such container: a" in answer
    assert answer.count(b"OK") == 1


@pytest.mark.parametrize(
    ("line", "headers", "rest", "expected"),
    [
        ("POST /containers/create", "Content-Length: 2", "{}", 403),
        ("POST /containers/a/stop", "Transfer-Encoding: chunked", "", 403),
        ("CONNECT a:1", "A: b", "", 403),
        ("GET /_ping", "Content-Length: 40", "", 413),
        ("GET /_ping", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", 413),
        ("GET /_ping", "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n", 413),
        ("GET /_ping", "Content-Length: 0\r\nContent-Length: 5", "", 400),
        ("GET /_ping", "Content-Length : 5", "", 400),
        ("GET /_ping", "Transfer-Encoding: gzip, chunked", "", 501),
        ("GET /_ping", "A: " + "x" * 40_000, "", 431),
        ("GET  /_ping", "A: b", "", 400),
        ("GET /_ping HTTP/1.1\r\nGET /_ping", "A: b", "", 400),
    ],
)
async def test_a_request_with_more_than_a_question_is_the_last(
    served: Served, line: str, headers: str, rest: str, expected: int
) -> None:
    sent = f"{line} HTTP/1.1\r\nHost: d\r\n{headers}\r\n\r\n{rest}".encode()
    assert statuses(await served.say(sent + GET)) == [expected]
    assert statuses(await served.say(GET)) == [200]


@pytest.mark.parametrize("more", ["Connection: Upgrade\r\nUpgrade: tcp", "Expect: 100-continue", "Upgrade: h2c"])
async def test_a_wish_for_another_protocol_changes_nothing(served: Served, more: str) -> None:
    sent = GET.replace(b"\r\n\r\n", f"\r\n{more}\r\n\r\n".encode())
    assert statuses(await served.say(sent + GET)) == [200, 200]


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01" * 20 + b"\r\n\r\n", b"\r\n\r\n\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
async def test_noise_is_no_answer(served: Served, sent: bytes) -> None:
    assert set(statuses(await served.say(sent))) <= {400, 403}
    assert statuses(await served.say(GET)) == [200]


async def test_a_slow_head_and_a_silence_end(served: Served) -> None:
    for sent in (b"", b"GET /_pi", GET[:-2]):
        assert b"200" not in await served.say(sent)


async def test_connections_have_a_bound_and_others_wait(served: Served) -> None:
    held = [await served.open() for _ in range(MAX_CONNECTIONS)]
    for reader, writer in held:
        writer.write(GET)
        await reader.readuntil(b"OK")
    waiting = asyncio.create_task(served.say(GET))
    await served.server._pace.step()
    assert not waiting.done()
    for _, writer in held:
        writer.close()
    assert statuses(await waiting) == [200]


async def test_a_client_that_asks_without_end_has_the_pace_of_all(served: Served) -> None:
    """Its requests are there at once, and those of another connection are answered between them."""
    _, writer = await served.open()
    writer.write(GET * 900)
    await writer.drain()
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert statuses(await served.say(last)) == [200]
    assert len(served.answering.asked) < 900
    writer.close()


async def test_a_client_that_goes_before_its_events_leaves_no_trace(served: Served) -> None:
    """The kernel tells the end of one that has not read all as an error."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    served.answering.events_until = 10_000_000
    for _ in range(3):
        served.answering.are_over.clear()
        _, writer = await served.open()
        writer.write(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        await asyncio.sleep(0)
        writer.transport.abort()
        await asyncio.wait_for(served.answering.are_over.wait(), HANG_SECONDS)
    assert statuses(await served.say(GET)) == [200]
    gc.collect()
    assert told == []


async def test_a_connection_that_is_closed_leaves_nothing(served: Served) -> None:
    opened = [await served.open() for _ in range(5)]
    for reader, writer in opened:
        writer.write(GET)
        await reader.readuntil(b"OK")
    served.server.close()
    for reader, writer in opened:
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), HANG_SECONDS) == b""
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await served.open()
    assert served.server._tasks == set()


async def test_a_fault_tells_no_place_of_the_machine(served: Served) -> None:
    assert b"/run/secret.sock" not in await served.say(b"GET /info HTTP/1.1\r\nHost: d\r\n\r\n")
    assert statuses(await served.say(b"GET /networks HTTP/1.0\r\n\r\n")) == [400]


async def test_events_are_a_stream_of_lines(served: Served) -> None:
    answer = await served.say(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    lines = [json.loads(line) for line in answer.split(b"\r\n") if line.startswith(b"{")]
    assert [line["number"] for line in lines] == [0, 1, 2]
    served.answering.refuses = True
    assert statuses(await served.say(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")) == [429]


async def test_a_client_that_takes_no_events_is_let_go(served: Served) -> None:
    served.answering.events_until = 10_000_000
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(served.path))
        client.sendall(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        await asyncio.wait_for(served.answering.are_over.wait(), HANG_SECONDS)
    assert statuses(await served.say(GET)) == [200]
