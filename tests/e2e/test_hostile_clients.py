"""Clients that mean harm, against the real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import pytest

from agent_worker.identity import load_identity
from gamekeeper.stack.layout import StateDir
from tests.fixtures.certificates import channel
from tests.fixtures.stack import Stack
from tests.hang import HANG_SECONDS


def test_a_request_that_never_ends_is_closed(stack: Stack) -> None:
    url = urlsplit(stack.status()["api"]["url"])
    with socket.create_connection((url.hostname, url.port), 30) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\n")
        slow.settimeout(HANG_SECONDS)
        received = b"x"
        with suppress(ConnectionError):  # but no TimeoutError: the server is to close it, not this test
            while received and b"408" not in received:
                received = slow.recv(1024)


def test_a_large_body_of_unknown_length_is_cut(stack: Stack) -> None:
    found = stack.status()["api"]
    key = Path(found["key_file"]).read_text().strip()

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 65536

    answer = httpx.post(
        f"{found['url']}/api/v1/runs",
        content=endless(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 413


async def test_bytes_that_are_no_node_link(stack: Stack) -> None:
    address = stack.status()["api"]["node_link"]
    host, _, port = address.partition(":")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 4096, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 512):
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(garbage)
    identity = load_identity(StateDir(stack.state_dir).agent_dir(stack.node))
    assert identity is not None
    async with channel(address, identity.good_credentials) as link:
        for method in ("RenewCertificate", "ReportContainers"):
            call: Any = link.unary_unary(f"/gamekeeper.rpc.v1.NodeLink/{method}")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"\xff\xff\xff")
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert httpx.get(f"{stack.status()['api']['url']}/readyz").status_code == 200
