"""Silences: made with an end, ended before it, and gone by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import SilenceRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.silence import SilenceRepository
from gamekeeper.domain.alarm.mute import MAX_SILENCES
from gamekeeper.domain.alarm.selection import Selection
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError


class SilenceService:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.odd_rows = database.odd_rows

    async def standing(self) -> Sequence[SilenceRow]:
        async with self._database.read() as session:
            return await SilenceRepository(session).standing(utc_now())

    async def make(self, on: Selection, rules: Sequence[str], lifetime: timedelta, reason: str) -> SilenceRow:
        """Raises InvalidError for a selection that means nothing, ConflictError for too many."""
        selector, now = on.selector(), utc_now()
        async with self._database.write() as session:
            silences = SilenceRepository(session)
            await check_room(silences, now)
            row = SilenceRow(
                on=on.model_dump(mode="json"),
                rules=list(rules),
                reason=reason,
                until=now + lifetime,
                created_by=current_actor(),
            )
            silences.add(row)
            message = f"{selector} until {row.until:%Y-%m-%d %H:%M} UTC: {reason}"
            data = {"silence": row.id, "on": row.on, "rules": row.rules}
            record(session, Event(kind=EventKind.ALARM_SILENCED, message=message, data=data))
        return row

    async def end(self, silence_id: str) -> None:
        """Raises NotFoundError."""
        async with self._database.write() as session:
            silences = SilenceRepository(session)
            row = await silences.get(silence_id)
            await silences.delete(row)
            data = {"silence": row.id, "on": row.on}
            record(session, Event(kind=EventKind.ALARM_SILENCE_ENDED, message=row.reason, data=data))


async def check_room(silences: SilenceRepository, now: datetime) -> None:
    """Raises ConflictError for too many."""
    if await silences.count(now) >= MAX_SILENCES:
        raise ConflictError(f"{MAX_SILENCES} silences stand already", hint="one by a label says as much as many")
