"""Alarms as people see them: listed by what they may see, acknowledged, closed, silenced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.alarm.silence import check_room
from gamekeeper.actor import current_actor
from gamekeeper.control_plane.alarm.facts import target_of
from gamekeeper.control_plane.alarm.standing import alarm_event
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import AlarmRow, SilenceRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.alarm import AlarmRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.silence import SilenceRepository
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.sight import Sight, sight_of
from gamekeeper.domain.access.target import SERVER, Target
from gamekeeper.domain.alarm.alarm_filter import AlarmFilter
from gamekeeper.domain.alarm.selection import Selection
from gamekeeper.domain.alarm.state import AlarmState
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, NotFoundError

SHOWN_CHILDREN = 100


@dataclass(frozen=True)
class SeenAlarm:
    """``children`` are some of what the alarm takes with it, as far as its reader may see them."""

    row: AlarmRow
    children: Sequence[AlarmRow] = ()
    child_count: int = 0


class AlarmService:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.odd_rows = database.odd_rows

    async def page(
        self, wanted: AlarmFilter, sight: Sight, *, cursor: str | None, limit: int
    ) -> tuple[Page[AlarmRow], dict[str, int]]:
        """A page, and how many children each alarm of it has."""
        async with self._database.read() as session:
            alarms = AlarmRepository(session)
            page = await alarms.page(wanted, sight, cursor=cursor, limit=limit)
            return page, await alarms.count_children([row.id for row in page.rows])

    async def counts(self, sight: Sight) -> dict[tuple[str, bool], int]:
        async with self._database.read() as session:
            return await AlarmRepository(session).counts(sight)

    async def get(self, alarm_id: str, access: Access) -> SeenAlarm:
        """Raises NotFoundError."""
        async with self._database.read() as session:
            alarms = AlarmRepository(session)
            row = await alarms.get(alarm_id)
            wanted = AlarmFilter(states=(AlarmState.NO_DATA,), parent=alarm_id)
            page = await alarms.page(wanted, sight_of(access), cursor=None, limit=SHOWN_CHILDREN)
            count = (await alarms.count_children([alarm_id])).get(alarm_id, 0)
        return SeenAlarm(row, page.rows, count)

    async def target(self, alarm_id: str) -> Target | None:
        """The object that an alarm is about, as access sees it; None for an alarm that is not there."""
        async with self._database.read() as session:
            row = await AlarmRepository(session).find(alarm_id)
            if row is None:
                return None
            targets = TargetRepository(session)
            if row.kind == "server":
                return SERVER
            if row.kind == "node":
                found = await targets.node(row.object_id)
            elif row.kind == "instance":
                found = await targets.instance_before(row.object_id)
            else:
                found = await (targets.run(row.run) if row.run else targets.pipeline(row.pipeline))
        return found or target_of(row.kind, row.object_id, row.pipeline, {})

    async def acknowledge(self, alarm_id: str, note: str) -> AlarmRow:
        """Somebody takes it on: nobody else is told. Idempotent; the first one stands. Raises NotFoundError, and
        ConflictError for one that is over."""
        async with self._database.write() as session:
            row = await AlarmRepository(session).get_locked(alarm_id)
            _check_stands(row)
            if row.acknowledged_at is None:
                row.acknowledged_at, row.acknowledged_by = utc_now(), current_actor()
                row.acknowledge_note = note
                event = alarm_event(EventKind.ALARM_ACKNOWLEDGED, row)
                record(session, event.model_copy(update={"message": note}))
        return row

    async def close(self, alarm_id: str, reason: str) -> AlarmRow:
        """Closes one that is stale. If it still holds, it comes up again as a new one. Idempotent. Raises
        NotFoundError."""
        async with self._database.write() as session:
            row = await AlarmRepository(session).get_locked(alarm_id)
            if row.live_key is None:
                return row
            row.state, row.live_key = AlarmState.CLOSED.value, None
            row.changed_at = row.closed_at = utc_now()
            row.closed_reason, row.closed_by = "closed", current_actor()
            record(session, alarm_event(EventKind.ALARM_CLOSED, row).model_copy(update={"message": reason}))
        return row

    async def silence(self, alarm_id: str, lifetime: timedelta, reason: str) -> SilenceRow:
        """A silence of this rule on this object; one that stands lasts longer. Raises NotFoundError, ConflictError."""
        async with self._database.write() as session:
            row = await AlarmRepository(session).get(alarm_id)
            _check_stands(row)
            silence = await _silenced(session, row, lifetime, reason)
            words = f"until {silence.until:%Y-%m-%d %H:%M} UTC: {reason}"
            record(session, alarm_event(EventKind.ALARM_SILENCED, row).model_copy(update={"message": words}))
        return silence


def _check_stands(row: AlarmRow) -> None:
    if row.live_key is None:
        raise ConflictError(f'the alarm "{row.id}" is over', hint="gamekeeper alarm ls lists those that stand")
    if row.raised_at is None:
        raise NotFoundError(f'there is no alarm "{row.id}"', hint="gamekeeper alarm ls lists them")


async def _silenced(session: AsyncSession, row: AlarmRow, lifetime: timedelta, reason: str) -> SilenceRow:
    is_pipeline = row.kind in ("run", "pipeline")
    ids = [] if row.kind == "server" else [row.pipeline if is_pipeline else row.object_id]
    on = Selection.model_validate({"kind": "pipeline" if is_pipeline else row.kind, "ids": ids}).model_dump(mode="json")
    silences, now = SilenceRepository(session), utc_now()
    for standing in await silences.standing(now):
        if standing.on == on and standing.rules == [row.rule]:
            standing.until, standing.reason = max(standing.until, now + lifetime), reason or standing.reason
            return standing
    await check_room(silences, now)
    made = SilenceRow(on=on, rules=[row.rule], reason=reason, until=now + lifetime, created_by=current_actor())
    silences.add(made)
    return made
