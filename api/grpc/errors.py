"""Errors at the gRPC edge: the error tree as status codes, translated here alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

RETRY_LATER = (("retry-after-ms", "1000"),)  # a database that is away is not helped by a fleet that asks
PASSING = ("unavailable", "conflict")
_STATUS = {
    "not_found": grpc.StatusCode.NOT_FOUND,
    "conflict": grpc.StatusCode.ALREADY_EXISTS,
    "precondition": grpc.StatusCode.FAILED_PRECONDITION,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "too_large": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "permanent": grpc.StatusCode.FAILED_PRECONDITION,
    "internal": grpc.StatusCode.UNAVAILABLE,
}


@asynccontextmanager
async def translated(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Ends the call with the status of whatever is raised inside; the unexpected is logged, not told."""
    try:
        yield
    except GamekeeperError as error:
        trailing = RETRY_LATER if error.kind in PASSING else ()
        await context.abort(_STATUS[error.kind], str(error), trailing)
    except (grpc.aio.AbortError, grpc.RpcError):
        raise
    except Exception as error:
        log.error("a node link call failed", exc_info=error)
        await context.abort(
            grpc.StatusCode.UNAVAILABLE, "an unexpected error, which stands in the api's log", RETRY_LATER
        )
