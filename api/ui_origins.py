"""Temporal's web UI is a page of another origin: browsers let it ask for payloads in clear only where this says so.

Of one path alone, which changes nothing, and to the origins that an operator named. The credential is asked for as
everywhere. The UI can send no header of ours, so the cookie of a session counts there without its CSRF token.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.browser import UI_PAGE

DECODE = "/api/v1/payload-codec/decode"
# Those that the UI sends; what a browser sends by itself needs no word.
HEADERS = ("Authorization", "Authorization-Extras", "Content-Type", "X-Namespace")
REMEMBERED_SECONDS = 600


class UiOrigins:
    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)
        self._app = app
        self._decoding = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_methods=["POST"],
            allow_headers=list(HEADERS),
            allow_credentials=True,
            max_age=REMEMBERED_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_decoding = scope["type"] == "http" and scope["path"] == DECODE
        if is_decoding and Headers(scope=scope).get("origin") in self._origins:
            scope[UI_PAGE] = True
        await (self._decoding if is_decoding else self._app)(scope, receive, send)
