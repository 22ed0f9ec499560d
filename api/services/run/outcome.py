"""Ends of the runs of each pipeline and schedule, for ``/metrics``: sums of the database, so that they survive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.run_outcome import RunOutcomeRepository, RunOutcomes

__all__ = ["FRESH_SECONDS", "RunOutcomeService", "RunOutcomes"]

FRESH_SECONDS = 5.0


class RunOutcomeService:
    """The route needs no key, so the sums are made once in ``FRESH_SECONDS`` at most, whoever asks how often.

    ``clock`` gives monotonic seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._turn = asyncio.Lock()
        self._made_at = -FRESH_SECONDS
        self._outcomes: list[RunOutcomes] = []

    async def newest(self) -> list[RunOutcomes]:
        async with self._turn:
            if self._clock() - self._made_at >= FRESH_SECONDS:
                async with self._database.read() as session:
                    self._outcomes = await RunOutcomeRepository(session).newest()
                self._made_at = self._clock()
        return self._outcomes
