"""The liveness call that every process of the stack answers: its supervisor asks, and the event loop itself replies.

A pid says that a process exists. One that is stopped, or whose loop is blocked, exists as well. The question comes over
a socket without a file (Linux's abstract names), so that a full disk is no reason for silence.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from gamekeeper.logging import get_logger
from gamekeeper.systemd import telling_systemd

log = get_logger(__name__)

LIVENESS = "GAMEKEEPER_LIVENESS"  # names the socket; the supervisor gives it, and nobody can guess it
TELL_STACKS = signal.SIGUSR2  # asks a process for what its threads do, as its last words
_CREDENTIALS = struct.Struct("3i")


def address_of(name: str) -> str:
    return f"\0{name}"


def run_answering(work: Coroutine[Any, Any, None]) -> None:
    """Runs ``work`` as ``asyncio.run`` does, and answers the supervisor as long, or tells systemd: whoever is there."""
    asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, None]) -> None:
    async with answering(os.environ.pop(LIVENESS, "")), telling_systemd():
        await work


@asynccontextmanager
async def answering(name: str) -> AsyncIterator[None]:
    """Answers at the socket ``name``; does nothing where that is empty."""
    if not name:
        yield
        return
    faulthandler.register(TELL_STACKS, all_threads=True)
    server = await asyncio.get_running_loop().create_unix_server(_Answer, address_of(name))
    try:
        yield
    finally:
        server.close()
        faulthandler.unregister(TELL_STACKS)


class _Answer(asyncio.Protocol):
    """One byte to each who asks, if it is this user or root: others of this machine have nothing to ask here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        asked = transport.get_extra_info("socket")
        _, user, _ = _CREDENTIALS.unpack(asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if user in (os.getuid(), 0):
            transport.write(b".")
        transport.close()
