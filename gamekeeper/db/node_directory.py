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
PATIENCE_SECONDS = 1.0  # with a database that hangs, while there is an older answer


class SqlNodeDirectory:
    """Satisfies ``NodeDirectory``. One query tells of all nodes, and one goes on at a time: after a restart the whole
    fleet asks."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, int] | None = None
        self._known_since = 0.0
        self._lock = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._reading_turn = self._turn = 0

    async def generation(self, node_id: str, at_least: int = 0) -> int | None:
        await self._read_if_older(KNOWN_SECONDS)
        found = (self._known or {}).get(node_id)
        if found is None or found < at_least:
            await self._read_if_older(SOONEST_SECONDS)
            found = (self._known or {}).get(node_id)
        return found

    def forget(self) -> None:
        """The next question goes to the database: this process has just changed a generation."""
        self._known_since = -KNOWN_SECONDS
        self._turn += 1

    async def _read_if_older(self, seconds: float) -> None:
        if self._known is not None and self._clock() - self._known_since < seconds:
            return
        reading = self._reading
        if reading is None or reading.done() or self._reading_turn != self._turn:
            self._reading_turn = self._turn
            reading = self._reading = asyncio.create_task(self._read(self._turn))
        await asyncio.wait({reading}, timeout=None if self._known is None else PATIENCE_SECONDS)
        if self._known is None:
            reading.result()

    async def _read(self, turn: int) -> None:
        """Raises UnavailableError when nothing is known yet; a caller that was cancelled leaves it to go on.

        One query at a time, and what was asked before a change does not replace what was asked after it."""
        async with self._lock:
            now = self._clock()
            try:
                async with self._database.read() as session:
                    found = await NodeRepository(session).generations()
            except UnavailableError:
                if self._known is None:
                    raise
                found = self._known
            if turn == self._turn:
                self._known, self._known_since = found, now
