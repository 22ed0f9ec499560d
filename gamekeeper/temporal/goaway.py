"""Calls in flight when Temporal ends a connection.

A Temporal frontend closes each connection after some minutes (``frontend.keepAliveMaxConnectionAge``), and a call that
is sent at that moment comes back as "operation was canceled" (github.com/temporalio/sdk-core/issues/807). The SDK asks
again for its own calls; for one made directly on a service with ``retry=False`` it does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.service import RPCError, RPCStatusCode

Answer = TypeVar("Answer")


async def past_goaway(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of a call that may be made twice: asked once more where its connection ended. Raises RPCError."""
    try:
        return await call()
    except RPCError as error:
        if error.status is not RPCStatusCode.CANCELLED:
            raise
    return await call()
