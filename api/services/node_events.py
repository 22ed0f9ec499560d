"""Bounds the events that a node tells by itself: beyond their number its oldest go, and an event says how many.

What users, runs and the server itself told of the node stays: a node must not be able to wash it away. Whether a node
has told much is counted as it tells, so nothing is read of those that did not.
"""

from __future__ import annotations

from collections import Counter

from gamekeeper.actor import AGENT
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind

PRUNE_BATCH = 10_000


class NodeEvents:
    """``keep`` are kept of each node, and a twentieth more before they are counted."""

    def __init__(self, database: Database, keep: int) -> None:
        self._database = database
        self._keep = keep
        self._looked: Counter[str] = Counter()

    async def prune(self) -> None:
        for actor, told in list(self._database.told.items()):
            if actor.startswith(AGENT) and told - self._looked[actor] > self._keep // 20:
                await self._prune(actor.removeprefix(AGENT), actor)
                self._looked[actor] = told

    async def _prune(self, node_id: str, actor: str) -> None:
        """Drops what is older than the oldest that is kept, in batches that each tell of themselves. Two processes that
        do it at once drop no more for it."""
        async with self._database.read() as session:
            newest = await EventRepository(session).newest_beyond(node_id, actor, self._keep)
        dropped = PRUNE_BATCH
        while newest and dropped == PRUNE_BATCH:
            async with self._database.write() as session:
                dropped = await EventRepository(session).prune_told(node_id, actor, newest, PRUNE_BATCH)
                if dropped:
                    record(session, self._dropped(node_id, dropped))

    def _dropped(self, node_id: str, count: int) -> Event:
        message = f"{count:,} of its oldest events are dropped, {self._keep:,} are kept (GAMEKEEPER_EVENTS_OF_NODE)"
        return Event(kind=EventKind.NODE_EVENTS_DROPPED, node=node_id, message=message, data={"count": count})
