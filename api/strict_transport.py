"""Tells browsers that came by HTTPS to come by nothing else.

Only with a certificate that browsers take as it is. With one of the own CA they would let nobody look past a warning
any more, for a year, and on every port of that name.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER, YEAR = "Strict-Transport-Security", "max-age=31536000"


class StrictTransport:
    """Adds the header to answers over HTTPS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope.get("scheme") != "https" or not _is_public(scope):
            await self._app(scope, receive, send)
            return

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = YEAR
            await send(message)

        await self._app(scope, receive, send_with_header)


def _is_public(scope: Scope) -> bool:
    certificate = scope["app"].state.services.rest_certificate
    return certificate is not None and bool(certificate.is_public)
