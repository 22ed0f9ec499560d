"""Work that must not be left in its middle when its caller goes: streams' callers come and go all the time.

A query that is left is a database connection lost. A log write that is left goes on in its thread, unknown to the next
writer, which then writes the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """Lets ``work`` end although its caller is cancelled. The caller hears of the cancel at once."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
