"""Gives what waits in the outbox to Temporal, which has it sent and tried again."""

from __future__ import annotations

from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.channel import NotificationRepository
from gamekeeper.temporal.notifications import NotificationWorkflows

BATCH = 50


class NotificationStarts:
    def __init__(self, database: Database, workflows: NotificationWorkflows) -> None:
        self._database = database
        self._workflows = workflows

    async def look(self) -> None:
        """Idempotent: what a kill leaves between both is started once more, and is there already. Raises
        UnavailableError."""
        while True:
            async with self._database.read() as session:
                rows = await NotificationRepository(session).unstarted(BATCH)
            for row in rows:
                await self._workflows.start(row.id, f"{row.kind} to {row.channel}")
                async with self._database.write() as session:
                    await NotificationRepository(session).mark_started(row.id)
            if len(rows) < BATCH:
                return
