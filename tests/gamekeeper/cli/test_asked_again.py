"""A server that closes connections before it answers: what may be asked again is, a few times, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gamekeeper.cli.asked_again import TRIES
from gamekeeper.cli.console import open_console
from gamekeeper.cli.context import ApiError, Context
from gamekeeper.errors import UnavailableError

ANSWER = b"HTTP/1.1 %b\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@dataclass
class Cutting:
    """Closes its first ``cuts`` connections when their requests have come, with a reset or in peace, and answers the
    others; ``asked`` are the requests that came."""

    cuts: int
    resets: bool
    answer: bytes = b"200 OK"
    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n"))
        await reader.readuntil(b"\r\n\r\n")
        if len(self.asked) > self.cuts:
            writer.write(ANSWER % self.answer)
            await writer.drain()
        elif self.resets:
            at_once = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.close()

    @property
    def context(self) -> Context:
        return Context(f"http://127.0.0.1:{self.port}", "key", None)


@asynccontextmanager
async def cutting(cuts: int, *, resets: bool = False, answer: bytes = b"200 OK") -> AsyncIterator[Cutting]:
    made = Cutting(cuts, resets, answer)
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
async def test_a_console_is_asked_for_again(resets: bool) -> None:
    async with cutting(TRIES - 1, resets=resets, answer=b"404 Not Found") as server:
        with pytest.raises(ApiError, match="HTTP 404"):  # its word on the last one
            await asyncio.to_thread(open_console, server.context, "/instances/arena/console", [], tty=False)
    assert len(server.asked) == TRIES


@pytest.mark.parametrize(("command", "asked"), [([], TRIES), (["rm", "world"], 1)], ids=["attach", "exec"])
async def test_a_command_that_may_have_begun_is_not_begun_twice(command: list[str], asked: int) -> None:
    async with cutting(99) as server:
        with pytest.raises(UnavailableError, match="did not receive a valid HTTP response"):
            await asyncio.to_thread(open_console, server.context, "/instances/arena/exec", command, tty=False)
    assert len(server.asked) == asked


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("cuts", [1, TRIES - 1])
async def test_what_only_reads_is_asked_again(cuts: int, resets: bool) -> None:
    async with cutting(cuts, resets=resets) as server:
        assert await asyncio.to_thread(server.context.call, "GET", "/instances/arena") == {}
    assert len(server.asked) == cuts + 1


@pytest.mark.parametrize(("method", "asked"), [("GET", TRIES), ("POST", 1), ("DELETE", 1)])
async def test_what_changes_something_is_asked_once(method: str, asked: int) -> None:
    async with cutting(99) as server:
        with pytest.raises(UnavailableError, match="does not answer"):
            await asyncio.to_thread(server.context.call, method, "/instances/arena")
    assert len(server.asked) == asked


async def test_a_connection_that_was_closed_before_the_request_is_made_again() -> None:
    """In the handshake of TLS, as by a server that another one follows. Even a command has not begun then."""
    count = 0

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        context = Context(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "key", None)
        with pytest.raises(UnavailableError):
            await asyncio.to_thread(open_console, context, "/instances/arena/exec", ["true"], tty=False)
        by_console, count = count, 0
        with pytest.raises(UnavailableError):
            await asyncio.to_thread(context.call, "POST", "/instances")
    assert (by_console, count) == (TRIES, TRIES)
