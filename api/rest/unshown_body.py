"""Bodies that hold secrets: what is wrong with one is told without a word of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.problems import UNSHOWN


class UnshownBodyRoute(APIRoute):
    """A route whose answers show nothing of the body, as they else do of a value that is wrong."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def unshown(request: Request) -> Response:
            request.scope[UNSHOWN] = True
            return await handle(request)

        return unshown
