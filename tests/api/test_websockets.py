"""WebSockets over a server that another one follows."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidMessage

from api.https import RestServer
from api.services.access.rest_certificate import RestCertificate
from api.websockets import REASON, SERVICE_RESTART
from gamekeeper.stack.ports import free_port
from tests.api.test_https import Given
from tests.fixtures.certificates import TestAuthority
from tests.hang import HANG_SECONDS


class Echo:
    """Says what is said to it. It opens what is asked for at ``/late`` when the others are told of the end."""

    def __init__(self) -> None:
        self.asked_late = asyncio.Event()
        self.ends = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        if scope["path"] == "/late":
            self.asked_late.set()
            await self.ends.wait()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        self.ends.set()


async def opened(url: str, trust: ssl.SSLContext) -> ClientConnection:
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            with suppress(OSError, InvalidMessage):  # nobody is there yet, or a server that just ends
                return await connect(url, ssl=trust)
            await asyncio.sleep(0.05)


async def answered(url: str, trust: ssl.SSLContext) -> str | bytes:
    while True:
        with suppress(ConnectionClosed):  # it was opened over the server of before
            async with await opened(url, trust) as again:
                await again.send("hello")
                return await again.recv()


async def test_all_are_told_of_the_end_of_their_server(tmp_path: Path) -> None:
    """One that is open, and one that is just being opened."""
    echo, now = Echo(), datetime.now(UTC)
    other = TestAuthority(tmp_path / "other").authority
    (tmp_path / "rest").mkdir()
    source = Given(other.issue_server(["127.0.0.1"], now))
    certificate = RestCertificate(tmp_path / "rest", [source])
    port, trust = free_port("127.0.0.1"), ssl.create_default_context(cadata=other.roots_pem(now))
    server, url = RestServer(echo, "127.0.0.1", port, certificate), f"wss://127.0.0.1:{port}"
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(HANG_SECONDS):
        console = await opened(url, trust)
        late = asyncio.create_task(opened(f"{url}/late", trust))
        await echo.asked_late.wait()
        source.made = other.issue_server(["127.0.0.1"], now)
        await certificate.refresh()
        for told in (console, await late):
            with pytest.raises(ConnectionClosedError) as closed:
                await told.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (SERVICE_RESTART, REASON)
        assert await answered(url, trust) == "hello"
    server.stop()
    await asyncio.wait({serving}, timeout=HANG_SECONDS)
