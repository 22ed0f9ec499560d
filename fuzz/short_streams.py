"""Ends answers that would go on for ever, as a client does that has seen enough: who follows is not waited for."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS_OF_AN_ANSWER = 1.0


class ShortStreams:
    """The app, whose answers end a second after they began; to it, its client has gone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = asyncio.Event()

        async def watched(message: Message) -> None:
            await send(message)
            begun.set()

        answering = asyncio.ensure_future(self._app(scope, receive, watched))
        ending = asyncio.create_task(_enough(begun))
        try:
            await asyncio.wait((answering, ending), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                answering.cancel()
                await asyncio.wait((answering,))
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            answering.result()
        finally:
            ending.cancel()
            answering.cancel()


async def _enough(begun: asyncio.Event) -> None:
    await begun.wait()
    await asyncio.sleep(SECONDS_OF_AN_ANSWER)
