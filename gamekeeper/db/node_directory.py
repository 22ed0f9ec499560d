"""The nodes' generations, read from the database for all nodes at once and kept for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.errors import UnavailableError

KNOWN_SECONDS = 3.0
SOONEST_SECONDS = 0.2  # a node that shows a wrong generation again and again is no load


class SqlNodeDirectory:
    """Satisfies ``NodeDirectory``. One query tells of all nodes: after a restart the whole fleet asks."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, int] | None = None
        self._asked_at = 0.0
        self._asking = asyncio.Lock()

    async def generation(self, node_id: str, at_least: int = 0) -> int | None:
        await self._read_if_older(KNOWN_SECONDS)
        found = (self._known or {}).get(node_id)
        if found is None or found < at_least:
            await self._read_if_older(SOONEST_SECONDS)
            found = (self._known or {}).get(node_id)
        return found

    def forget(self) -> None:
        """The next question goes to the database: this process has just changed a generation."""
        self._asked_at = -KNOWN_SECONDS

    async def _read_if_older(self, seconds: float) -> None:
        async with self._asking:
            now = self._clock()
            if self._known is not None and now - self._asked_at < seconds:
                return
            try:
                async with self._database.read() as session:
                    self._known = await NodeRepository(session).generations()
            except UnavailableError:
                if self._known is None:
                    raise
            self._asked_at = now
