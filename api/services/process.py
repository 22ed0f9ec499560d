"""Processes of the stack, as far as their supervisor tells of them."""

from __future__ import annotations

from datetime import datetime

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind

_AGENT = "agent-"  # the supervisor's name of a node's agent begins so


class ProcessService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def replaced(self, process: str, *, at: datetime, silent_seconds: float) -> None:
        node = process.removeprefix(_AGENT) if process.startswith(_AGENT) else ""
        message = f"{process} did not answer for {silent_seconds:.0f} s, and was replaced"
        data = {"process": process, "at": at.isoformat(), "silent_seconds": silent_seconds}
        async with self._database.write() as session:
            record(
                session,
                Event(kind=EventKind.PROCESS_REPLACED, node=node, reason="frozen", message=message, data=data),
            )
