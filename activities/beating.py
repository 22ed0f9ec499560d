"""The heartbeat of an activity that waits: by it Temporal hears that it goes on, and the activity of its cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity


@asynccontextmanager
async def beating(seconds: float) -> AsyncIterator[None]:
    task = asyncio.create_task(_beat(seconds))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat(seconds: float) -> None:
    """The first beat comes after one period: most steps need none, and each is a write at the server."""
    while True:
        await asyncio.sleep(seconds)
        activity.heartbeat()
