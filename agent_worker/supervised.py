"""Keeps the agent's endless loops going: an error that a loop did not foresee delays it and never ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gamekeeper.backoff import Backoff
from gamekeeper.logging import get_logger

log = get_logger(__name__)


async def supervised(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Runs ``loop``, and again after each error. Its backoff grows with every error, so a loop that fails for good
    fills no log."""
    backoff = Backoff(initial=1, maximum=60)
    while True:
        try:
            await loop()
        except Exception:
            log.exception("%s failed and begins again", name)
            await asyncio.sleep(backoff.next_delay())
