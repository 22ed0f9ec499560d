"""Tells systemd that this process lives, by the event loop that does its work.

A process that is stopped, or whose loop is blocked, tells nothing any more, and systemd puts another in its place. It
is the liveness call of a stack's supervisor (``liveness.py``) the other way round. A process that systemd did not start
with a watchdog has nobody to tell.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
BEATS = 4  # in the time after which systemd takes the process for dead


@asynccontextmanager
async def telling_systemd() -> AsyncIterator[None]:
    """Says that the process has started, beats, and says that it ends. What it starts itself hears nothing of it."""
    address, microseconds = os.environ.pop(NOTIFY_SOCKET, ""), os.environ.pop(WATCHDOG_USEC, "")
    is_ours = os.environ.pop(WATCHDOG_PID, "") in ("", str(os.getpid()))
    if not address or not is_ours:
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.setblocking(False)
        tell = partial(_tell, told, f"\0{address[1:]}" if address.startswith("@") else address)
        tell("READY=1")
        beating = asyncio.create_task(_beat(tell, int(microseconds or 0) / 1e6))
        try:
            yield
        finally:
            beating.cancel()
            tell("STOPPING=1")


async def _beat(tell: Callable[[str], None], limit: float) -> None:
    if not limit:
        return
    faulthandler.enable(all_threads=True)  # systemd ends it by SIGABRT: its last words are what its threads did
    while True:
        tell("WATCHDOG=1")
        await asyncio.sleep(limit / BEATS)


def _tell(told: socket.socket, address: str, words: str) -> None:
    with suppress(OSError):  # a queue that is full, or a systemd that begins anew: the next beat tells again
        told.sendto(words.encode(), address)
