"""One such socket: it takes connections, no more than it may have and no faster than its pace."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import h11

from agent_worker.engine_socket.connection import SECONDS, Answering, Connection, Seconds
from agent_worker.engine_socket.pace import Pace
from gamekeeper.logging import get_logger

log = get_logger(__name__)

MAX_CONNECTIONS = 32
RETRY_SECONDS = 1.0  # the agent has no descriptor left, say


class SocketServer:
    """Serves a listening socket until it is closed. Whoever comes when it is full waits at the kernel's door."""

    def __init__(self, answering: Answering, seconds: Seconds = SECONDS) -> None:
        self._answering = answering
        self._seconds = seconds
        self._pace = Pace()
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        self._begin(self._serve(listening), listening)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Coroutine[Any, Any, None], served: socket.socket) -> None:
        """``served`` is closed after it, also where it was cancelled before it began."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: served.close())

    async def _serve(self, listening: socket.socket) -> None:
        while True:
            await self._room.acquire()
            await self._pace.step()
            try:
                accepted, _ = await asyncio.get_running_loop().sock_accept(listening)
            except OSError as error:
                self._room.release()
                log.warning("a socket of a container takes no connection: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._begin(self._take(accepted), accepted)

    async def _take(self, accepted: socket.socket) -> None:
        try:
            await Connection(accepted, self._answering, self._seconds, self._pace).live()
        except (OSError, TimeoutError, h11.ProtocolError):
            pass
        except Exception:
            log.exception("a connection to the socket of a container ended")
        finally:
            self._room.release()
