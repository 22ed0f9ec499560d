"""The WebSockets of one server, which end with it.

Granian's server ends once its last answer has been given, and a WebSocket is none: it would stand still from then on,
without a word to either side. So each is closed before, with a code that says why, and may be opened again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SERVICE_RESTART = 1012
REASON = "the server takes over a new certificate; open it again"
CLOSE_SECONDS = 5.0


class WebSockets:
    """Around the app of one server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._count = 0
        self._ending = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        self._count += 1
        self._none.clear()
        try:
            await self._carry(scope, receive, send)
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    async def _carry(self, scope: Scope, receive: Receive, send: Send) -> None:
        """For the app an end of the server is the client's going. The client is told when the app has ended."""
        is_open = False

        async def until_the_end() -> Message:
            nonlocal is_open
            if not is_open:
                is_open = True
                return await receive()
            came, ending = asyncio.ensure_future(receive()), asyncio.ensure_future(self._ending.wait())
            try:
                await asyncio.wait({came, ending}, return_when=asyncio.FIRST_COMPLETED)
                return came.result() if came.done() else {"type": "websocket.disconnect", "code": SERVICE_RESTART}
            finally:
                ending.cancel()
                came.cancel()

        await self._app(scope, until_the_end, send)
        if self._ending.is_set():
            with suppress(RuntimeError, OSError):  # it is closed already
                await send({"type": "websocket.close", "code": SERVICE_RESTART, "reason": REASON})

    async def close(self) -> None:
        """Closes all, and those that still come. One that does not end in its time is left."""
        self._ending.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._none.wait()
