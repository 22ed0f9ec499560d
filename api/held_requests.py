"""Answers that go on for long end soon after their key is no longer good, or a grant has gone: each with a word, and
never as if it were whole.

What reads (streams, followed logs, long waits) and consoles are held so. What writes is short, and is left to its end.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractContextManager, ExitStack, suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.dependencies import CALL, HOLD
from api.problems import close_code, close_reason, from_error, problem_response
from api.services.access.caller import CallerCall
from gamekeeper.errors import GamekeeperError

READS = ("GET", "HEAD")
REFUSED = "refused"  # the kind of the last server-sent event


class HeldRequests:
    """Each is a task of its own, because whatever it waits for has to be left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] in READS):
            await _Held(self._app, scope, receive, send).carry()
        else:
            await self._app(scope, receive, send)


class _Held:
    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._over: GamekeeperError | None = None
        self._is_begun = self._is_whole = self._has_events = False

    async def carry(self) -> None:
        with ExitStack() as watched:

            def hold(held: AbstractContextManager[CallerCall]) -> None:
                call = watched.enter_context(held)
                call.when_over(end)
                self._scope[CALL] = call

            def end(refusal: GamekeeperError) -> None:
                self._over = refusal
                working.cancel()

            self._scope[HOLD] = hold
            working = asyncio.ensure_future(self._work())
            try:
                await working
            except (Exception, asyncio.CancelledError):
                task = asyncio.current_task()
                if self._over is None or (task is not None and task.cancelling()):
                    raise
        if self._over is not None and not self._is_whole:
            with suppress(RuntimeError, OSError):  # the client has gone
                await self._tell(self._over)

    async def _work(self) -> None:
        await self._app(self._scope, self._receive, self._note)

    async def _note(self, message: Message) -> None:
        """Sends it, and keeps in mind how far the answer is."""
        kind = message["type"]
        if kind in ("http.response.start", "websocket.accept"):
            self._is_begun = True
            types = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
            self._has_events = any(value.startswith(b"text/event-stream") for value in types)
        await self._send(message)
        if kind == "websocket.close" or (kind == "http.response.body" and not message.get("more_body", False)):
            self._is_whole = True

    async def _tell(self, refusal: GamekeeperError) -> None:
        """A text that has begun is cut off: it must not look whole."""
        details = from_error(refusal)
        if self._scope["type"] == "websocket":
            if not self._is_begun:
                await self._send({"type": "websocket.accept"})
            reason = close_reason(refusal)
            await self._send({"type": "websocket.close", "code": close_code(refusal), "reason": reason})
        elif not self._is_begun:
            await problem_response(details)(self._scope, self._receive, self._send)
        elif self._has_events:
            event = f"event: {REFUSED}\r\ndata: {json.dumps(details.model_dump(mode='json'))}\r\n\r\n"
            await self._send({"type": "http.response.body", "body": event.encode(), "more_body": False})
