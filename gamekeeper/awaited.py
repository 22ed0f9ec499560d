"""Waiting for files that another process writes: all processes of a stack start at once, and one has the keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gamekeeper.backoff import Backoff
from gamekeeper.logging import get_logger

log = get_logger(__name__)

TOLD_AFTER = 5  # looks: some three seconds


async def until_written(what: str, is_there: Callable[[], bool]) -> None:
    """Returns when ``is_there``. A long wait is told once, with ``what`` it is for. Cancelled without harm."""
    backoff = Backoff(initial=0.1, maximum=2)
    while not is_there():
        if backoff.failures == TOLD_AFTER:
            log.warning("waiting for the api process to make %s", what)
        await asyncio.sleep(backoff.next_delay())
