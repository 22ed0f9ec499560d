"""Errors at the gRPC edge: the error tree as status codes, translated here alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from gamekeeper.errors import GamekeeperError, LaterError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

RETRY_SECONDS = 1.0  # a database that is away is not helped by a fleet that asks
Trailing = tuple[tuple[str, str], ...]
PASSING = ("unavailable", "conflict")
STATUS = {
    "not_found": grpc.StatusCode.NOT_FOUND,
    "conflict": grpc.StatusCode.ALREADY_EXISTS,
    "precondition": grpc.StatusCode.FAILED_PRECONDITION,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "too_large": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "forbidden": grpc.StatusCode.PERMISSION_DENIED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "too_often": grpc.StatusCode.UNAVAILABLE,
    "quota": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "permanent": grpc.StatusCode.FAILED_PRECONDITION,
    "internal": grpc.StatusCode.UNAVAILABLE,
}


@asynccontextmanager
async def translated(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Ends the call with the status of whatever is raised inside; the unexpected is logged, not told."""
    try:
        yield
    except GamekeeperError as error:
        await context.abort(STATUS[error.kind], str(error), _retry_after(error))
    except (grpc.aio.AbortError, grpc.RpcError):
        raise
    except Exception as error:
        log.error("a node link call failed", exc_info=error)
        await context.abort(
            grpc.StatusCode.UNAVAILABLE,
            "an unexpected error, which stands in the api's log",
            _trailing(RETRY_SECONDS),
        )


def _retry_after(error: GamekeeperError) -> Trailing:
    """``in-line`` says that the time was counted for this caller, and is to be kept as it is."""
    if isinstance(error, LaterError):
        return (*_trailing(error.after_seconds), ("in-line", "1"))
    return _trailing(RETRY_SECONDS) if error.kind in PASSING else ()


def _trailing(seconds: float) -> Trailing:
    return (("retry-after-ms", str(int(seconds * 1000))),)
