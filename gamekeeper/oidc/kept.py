"""Answers of a provider about itself, kept for a while. However many wait for one, a single question is under way, and
all hear its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """An answer that is good for ``seconds``; a failure is kept for nobody who asks later."""

    def __init__(
        self, ask: Callable[[], Awaitable[T]], seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._found: tuple[T, float] | None = None
        self._asking: asyncio.Task[T] | None = None

    async def get(self, newer_than: float | None = None) -> T:
        """The answer, of later than ``newer_than`` on the clock where that is given. Raises what the question does."""
        if self._found is not None:
            found, at = self._found
            if self._clock() - at < self._seconds and (newer_than is None or at > newer_than):
                return found
        if self._asking is None:
            self._asking = asyncio.create_task(self._read())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    async def _read(self) -> T:
        at = self._clock()
        found = await self._ask()
        self._found = found, at
        return found

    def _asked(self, task: asyncio.Task[T]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # whoever waited has heard it; nobody may be left who does
