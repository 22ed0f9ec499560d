"""Errors at the REST edge: the error tree as RFC 9457 ``application/problem+json``, translated here alone."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocketState

from gamekeeper.domain.language.plain_words import plain_words
from gamekeeper.domain.language.problem import Problem, dotted
from gamekeeper.errors import (
    ForbiddenError,
    GamekeeperError,
    InvalidError,
    LaterError,
    SpecError,
    TooLargeError,
    TooOftenError,
    UnauthenticatedError,
)
from gamekeeper.logging import get_logger

log = get_logger(__name__)

STATUS_BY_KIND = {
    "not_found": 404,
    "conflict": 409,
    "precondition": 412,
    "invalid": 422,
    "too_large": 413,
    "unauthenticated": 401,
    "forbidden": 403,
    "unavailable": 503,
    "too_often": 429,
    "quota": 507,
    "permanent": 422,
    "internal": 500,
}
WEBSOCKET_CLOSE = 4000  # plus the HTTP status: from here on codes are an application's own
CLOSE_REASON_BYTES = 120
UNSHOWN = "gamekeeper.unshown"  # of a request with something in its body that no answer may show
_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid request",
    428: "Precondition required",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
    507: "Insufficient storage",
}


class ProblemDetails(BaseModel):
    """RFC 9457, with our ``code``, ``hint`` and the list of problems."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    problems: list[Problem] = Field(default_factory=list)


Responses = dict[int | str, dict[str, Any]]
_SCHEMA = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}


def problems(*errors: type[GamekeeperError]) -> Responses:
    """The ``responses=`` of a route that may raise these errors, beside those that every route may (``COMMON``)."""
    codes: dict[int, list[str]] = {}
    for error in errors:
        codes.setdefault(STATUS_BY_KIND[error.kind], []).append(error.kind)
    return {status: _declared(status, *found) for status, found in codes.items()}


def _declared(status: int, *codes: str) -> dict[str, Any]:
    named = ", ".join(f"`{code}`" for code in codes)
    return {"description": f"{_TITLES[status]}: {named}", "content": _SCHEMA}


def text(media_type: str, description: str) -> Responses:
    """The ``responses=`` of a route whose answer is text of this type."""
    return {200: {"content": {media_type: {"schema": {"type": "string"}}}, "description": description}}


INVALID = ("invalid", "invalid_request", "unknown_parameter")
COMMON: Responses = {
    400: _declared(400, "unicode", "bad_request"),
    422: _declared(422, *INVALID),
    **problems(UnauthenticatedError, ForbiddenError),
    409: _declared(409, "unreadable"),
    **problems(TooOftenError),
    503: _declared(503, "unavailable", "disk_full"),
}
WITH_BODY: Responses = {
    400: _declared(400, "unicode", "nul", "small_pieces", "bad_request"),
    408: _declared(408, "slow_body"),
    **problems(TooLargeError),
}
SPEC: Responses = {422: _declared(422, "invalid_spec", *INVALID)}


def problem_response(details: ProblemDetails, headers: dict[str, str] | None = None) -> JSONResponse:
    headers = dict(headers or {})
    if details.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if details.status == 503:
        headers.setdefault("Retry-After", "2")
    body = details.model_dump(mode="json")
    return JSONResponse(body, details.status, headers, media_type="application/problem+json")


def retry_after(error: GamekeeperError) -> dict[str, str]:
    """The header that tells when to ask again, for an error that knows it."""
    return {"Retry-After": str(math.ceil(error.after_seconds))} if isinstance(error, LaterError) else {}


def from_error(error: GamekeeperError) -> ProblemDetails:
    status = STATUS_BY_KIND[error.kind]
    return ProblemDetails(
        title=_TITLES[status],
        status=status,
        detail=error.message,
        code=error.code,
        hint=error.hint,
        problems=error.problems if isinstance(error, SpecError) else [],
    )


def install_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(GamekeeperError, _gamekeeper)  # type: ignore[arg-type]  # it may answer a WebSocket
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(WebSocketRequestValidationError, _websocket_validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(UnicodeError, _unicode)
    app.add_exception_handler(Exception, _unexpected)


async def _gamekeeper(request: Request | WebSocket, error: Exception) -> JSONResponse | None:
    assert isinstance(error, GamekeeperError)
    if isinstance(request, WebSocket):
        await _close(request, error)
        return None
    return problem_response(from_error(error), retry_after(error))


async def _close(websocket: WebSocket, error: GamekeeperError) -> None:
    """Accepted first: a browser tells its programs nothing of a handshake that was refused."""
    if websocket.application_state is WebSocketState.CONNECTING:
        await websocket.accept()
    with suppress(RuntimeError):  # the client has gone
        await websocket.close(close_code(error), close_reason(error))


def close_code(error: GamekeeperError) -> int:
    """The code by which an error closes a WebSocket."""
    return WEBSOCKET_CLOSE + STATUS_BY_KIND[error.kind]


def close_reason(error: GamekeeperError) -> str:
    return str(error).encode()[:CLOSE_REASON_BYTES].decode(errors="ignore")


async def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    hidden = {"input": "(not shown)"} if request.scope.get(UNSHOWN) else {}
    problems = [
        Problem(path=dotted(tuple(item["loc"])), code=str(item["type"]), message=plain_words(item | hidden))
        for item in error.errors()[:100]
    ]
    first = f"{problems[0].path}: {problems[0].message}" if problems else "the request can't be read"
    details = ProblemDetails(title=_TITLES[422], status=422, detail=first, code="invalid_request", problems=problems)
    return problem_response(details)


async def _websocket_validation(websocket: WebSocket, error: Exception) -> None:
    """The framework would refuse the handshake without a word."""
    assert isinstance(error, WebSocketRequestValidationError)
    words = [f"{dotted(tuple(item['loc']))}: {plain_words(item)}" for item in error.errors()[:100]]
    await _close(websocket, InvalidError("; ".join(words)))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    title = _TITLES.get(error.status_code, "Error")
    details = ProblemDetails(
        title=title, status=error.status_code, detail=str(error.detail), code=title.lower().replace(" ", "_")
    )
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
        details.hint = f"{request.url.path[:200]} takes {headers['Allow']}"
    return problem_response(details, headers)


def _methods(request: Request) -> list[str]:
    """All methods of a path: each is a route of its own, and the framework names those of the first one alone."""
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        pattern = getattr(route, "path_regex", None)
        if pattern is not None and pattern.match(request.scope["path"]):
            found |= route.methods or set()
    return sorted(found)


async def _unicode(_: Request, error: Exception) -> JSONResponse:
    log.info("refused a request that holds text which is not Unicode: %s", type(error).__name__)
    detail = "the request holds a character that is not valid Unicode"
    return problem_response(ProblemDetails(title=_TITLES[400], status=400, detail=detail, code="unicode"))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "an unexpected error, which stands in the api's log"
    return problem_response(ProblemDetails(title=_TITLES[500], status=500, detail=detail, code="internal"))
