"""Bounds a request's body before anything reads it, and refuses the one character that no text may hold."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ProblemDetails, problem_response

MAX_BODY_BYTES = 2 * 1024 * 1024
_NUL = (b"\x00", b"\\u0000")


class BodyLimit:
    """Answers 413 by the announced length, or as soon as a body of unknown length grows over the limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "DELETE", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
            await _too_large()(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            await _too_large()(scope, receive, send)
        elif any(nul in body for nul in _NUL):
            details = ProblemDetails(title="Bad request", status=400, detail="the body holds a NUL", code="nul")
            await problem_response(details)(scope, receive, send)
        else:
            await self._app(scope, _replay(body, receive), send)


async def _read(receive: Receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _too_large() -> ASGIApp:
    limit = MAX_BODY_BYTES // 1024
    details = ProblemDetails(
        title="Too large",
        status=413,
        detail=f"the body is over the limit of {limit} KiB",
        code="too_large",
        hint="move long scripts and data into the image or a volume",
    )
    return problem_response(details, {"Connection": "close"})
