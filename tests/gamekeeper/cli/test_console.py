"""Consoles that are refused before they are open."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from typing import Any

import pytest

from gamekeeper.cli import console
from gamekeeper.cli.app import exit_code
from gamekeeper.cli.console import open_console
from gamekeeper.cli.context import Context
from gamekeeper.errors import GamekeeperError


@pytest.mark.parametrize(
    ("answer", "code"), [("403 Forbidden", 5), ("404 Not Found", 4), ("400 Bad Request", 2), ("502 Bad Gateway", 3)]
)
async def test_what_was_refused_is_said(answer: str, code: int) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        context = Context(f"http://127.0.0.1:{port}", "key", None)
        with pytest.raises(GamekeeperError) as said:
            await asyncio.to_thread(open_console, context, "/instances/arena/console", [], tty=False)
    assert f"HTTP {answer}" in said.value.message
    assert ("is it up" in said.value.hint, exit_code(said.value)) == (False, code)


class Screen(io.TextIOWrapper):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def shown(self) -> bytes:
        buffer: Any = self.buffer
        return bytes(buffer.getvalue())


class Said:
    """A connection that says this."""

    def __init__(self, messages: list[str | bytes]) -> None:
        self._messages = iter(messages)

    def recv(self, timeout: float | None = None) -> str | bytes:
        return next(self._messages)


WRITTEN = b"a\x1b]52;c;cm0=\x07\x1b[1mb"


@pytest.mark.parametrize(
    ("is_terminal", "raw", "shown"),
    [(True, False, b"a\x1b[1mb"), (True, True, WRITTEN), (False, False, WRITTEN)],
    ids=["terminal", "raw", "pipe"],
)
def test_a_terminal_is_protected_and_a_pipe_gets_every_byte(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, raw: bool, shown: bytes
) -> None:
    out, err = Screen(is_terminal), Screen(is_terminal)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    half = len(WRITTEN) // 2
    pieces = [bytes([channel]) + part for part in (WRITTEN[:half], WRITTEN[half:]) for channel in (1, 2)]
    said: Any = Said([*pieces, '{"exit_code": 3}'])
    assert console._show(said, console.Screen(raw), threading.Event()) == 3
    assert (out.shown, err.shown) == (shown, shown)
