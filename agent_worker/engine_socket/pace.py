"""The pace of one socket. The agent has one thread for all that it does, so whoever asks it faster waits."""

from __future__ import annotations

import asyncio

STEPS_PER_SECOND = 200.0  # a connection, a reading, each KiB of it, and an answer are a step each
BURST = 200


class Pace:
    """Of one socket, over all of its connections."""

    def __init__(self, per_second: float = STEPS_PER_SECOND, burst: int = BURST) -> None:
        self._each = 1 / per_second
        self._burst = burst
        self._due = 0.0

    async def step(self, count: int = 1) -> None:
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now - self._burst * self._each) + count * self._each
        await asyncio.sleep(max(0.0, self._due - now))  # others have their turn also within a burst
