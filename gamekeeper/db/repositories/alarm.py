"""SQL of alarms: those that stand, their history, and the round that they are judged by."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, false, func, or_, true, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import AlarmRoundRow, AlarmRow, InstanceRow, NodeRow, RunRow
from gamekeeper.db.readable import ODD_ROWS, column, readable
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.db.scope import INSTANCES, NODES, RUNS
from gamekeeper.db.sight import is_in, is_stored
from gamekeeper.domain.access.sight import ALL_SEEING, Sight
from gamekeeper.domain.access.target import SERVER
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.alarm.alarm_filter import AlarmFilter
from gamekeeper.domain.alarm.severity import Severity
from gamekeeper.domain.alarm.state import LIVE, RAISED, AlarmState
from gamekeeper.errors import NotFoundError
from gamekeeper.supervised import Supervised


def no_alarm(alarm_id: str) -> NotFoundError:
    return NotFoundError(f'there is no alarm "{alarm_id}"', hint="gamekeeper alarm ls lists them")


class AlarmRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add_all(self, rows: Collection[AlarmRow]) -> None:
        self._session.add_all(rows)

    async def find(self, alarm_id: str) -> AlarmRow | None:
        return await self._session.get(AlarmRow, alarm_id)

    async def get(self, alarm_id: str) -> AlarmRow:
        """Raises NotFoundError."""
        row = await self.find(alarm_id)
        if row is None:
            raise no_alarm(alarm_id)
        return row

    async def get_locked(self, alarm_id: str) -> AlarmRow:
        """An alarm that nobody else changes until this transaction ends. Raises NotFoundError."""
        row = await self._session.get(AlarmRow, alarm_id, with_for_update=True)
        if row is None:
            raise no_alarm(alarm_id)
        return row

    async def live(self, *, is_locked: bool = False) -> tuple[list[AlarmRow], set[str]]:
        """All that stand, those that nobody was told of among them; and the keys of those that can't be read, which
        stand all the same. ``is_locked``: nobody else changes them until this transaction ends."""
        query = select(AlarmRow).where(col(AlarmRow.live_key).is_not(None))
        rows, keys = await readable(
            self._session, query.with_for_update() if is_locked else query, column(AlarmRow.live_key)
        )
        found = []
        odd: Supervised = self._session.info[ODD_ROWS]
        for row in rows:
            try:
                AlarmState(row.state), Severity(row.severity), ObjectKind("pipeline" if row.kind == "run" else row.kind)
                found.append(row)
            except ValueError as error:
                odd.skipped(f"alarms {row.id}", error)
        return found, set(keys) - {row.live_key for row in found}

    async def children(self, alarm_id: str, limit: int) -> Sequence[AlarmRow]:
        query = select(AlarmRow).where(AlarmRow.parent == alarm_id).order_by(AlarmRow.object_id).limit(limit)
        return (await self._session.exec(query)).all()

    async def count_children(self, ids: Collection[str]) -> dict[str, int]:
        query = (
            select(AlarmRow.parent, func.count()).where(col(AlarmRow.parent).in_(ids)).group_by(col(AlarmRow.parent))
        )
        return {str(parent): number for parent, number in (await self._session.exec(query)).all()}

    async def page(
        self, wanted: AlarmFilter, sight: Sight = ALL_SEEING, *, cursor: str | None, limit: int
    ) -> Page[AlarmRow]:
        """Newest first, by the time at which they came up and their ids."""
        place = _Place()
        query = select(AlarmRow).where(*_conditions(wanted), *_seen(sight)).order_by(*place.newest_first)
        if cursor:
            before = await self.find(decode_cursor(cursor))
            query = query.where(place.behind(before) if before else false())
        return await read_page(self._session, query, column(AlarmRow.id), limit)

    async def counts(self, sight: Sight = ALL_SEEING) -> dict[tuple[str, bool], int]:
        """Alarms that were raised and stand, by severity and whether they are muted; without children of a cause."""
        muted = col(AlarmRow.muted) != ""
        query = select(AlarmRow.severity, muted, func.count()).where(
            col(AlarmRow.state).in_(RAISED), col(AlarmRow.parent).is_(None), *_seen(sight)
        )
        found = await self._session.exec(query.group_by(col(AlarmRow.severity), muted))
        return {(severity, bool(is_muted)): number for severity, is_muted, number in found.all()}

    async def drop(self, ids: Collection[str]) -> None:
        await self._session.exec(delete(AlarmRow).where(col(AlarmRow.id).in_(ids)))

    async def prune(self, before: datetime, limit: int) -> int:
        old = select(AlarmRow.id).where(col(AlarmRow.closed_at) < before).limit(limit)
        return int((await self._session.exec(delete(AlarmRow).where(col(AlarmRow.id).in_(old)))).rowcount)

    async def round(self) -> AlarmRoundRow | None:
        return await self._session.get(AlarmRoundRow, 1)

    async def begin_rounds(self, seq: int, holder: str, until: datetime) -> None:
        self._session.add(AlarmRoundRow(seq=seq, holder=holder, until=until))
        await self._session.flush()

    async def take_round(self, holder: str, now: datetime, until: datetime, seen: int = 0) -> bool:
        """True where the rounds are the holder's until then: they were, or their holder has not said so in time. What
        it has ``seen`` since, and nothing came of, is noted, so that whoever is next does not look at it again."""
        was, seq = col(AlarmRoundRow.holder) == holder, col(AlarmRoundRow.seq)
        changed = update(AlarmRoundRow).where(col(AlarmRoundRow.id) == 1, or_(was, col(AlarmRoundRow.until) <= now))
        values = {"holder": holder, "until": until, "seq": case((and_(was, seq < seen), seen), else_=seq)}
        return bool((await self._session.exec(changed.values(values))).rowcount)

    async def end_round(self, holder: str, before: int, seq: int, now: datetime) -> bool:
        """False where another process has taken the rounds over since event ``before``: nothing of this one counts."""
        same = col(AlarmRoundRow.holder) == holder, col(AlarmRoundRow.rounds) == before
        changed = update(AlarmRoundRow).where(col(AlarmRoundRow.id) == 1, *same)
        values = changed.values(seq=seq, rounds=before + 1, looked_at=now)
        return bool((await self._session.exec(values)).rowcount)


class _Place:
    """The order of the list: a page begins behind a row, also where several came up in one moment."""

    def __init__(self) -> None:
        self.newest_first = (col(AlarmRow.created_at).desc(), col(AlarmRow.id).desc())

    def behind(self, row: AlarmRow) -> ColumnElement[bool]:
        same = and_(col(AlarmRow.created_at) == row.created_at, col(AlarmRow.id) < row.id)
        return or_(col(AlarmRow.created_at) < row.created_at, same)


def _conditions(wanted: AlarmFilter) -> list[Any]:
    found: list[Any] = [
        col(getattr(AlarmRow, name)) == value
        for name in ("severity", "rule", "node", "kind", "object_id", "parent")
        if (value := getattr(wanted, name))
    ]
    if wanted.states == LIVE | {AlarmState.CLOSED}:
        return found
    return [col(AlarmRow.state).in_([state.value for state in wanted.states]), *found]


def _seen(sight: Sight) -> list[Any]:
    """An alarm is its object's: whoever may see that sees it."""
    if sight.is_every_object:
        return []
    kind, name, run = col(AlarmRow.kind), col(AlarmRow.object_id), col(AlarmRow.run)
    of_pipeline = kind.in_(("pipeline", "run"))
    return [
        or_(
            and_(kind == "node", is_in(sight.nodes, name, col(NodeRow.id), NODES)),
            and_(kind == "instance", is_in(sight.instances, name, col(InstanceRow.id), INSTANCES)),
            and_(of_pipeline, run != "", is_in(sight.pipelines, run, col(RunRow.id), RUNS)),
            and_(of_pipeline, run == "", is_stored(sight.pipelines, col(AlarmRow.pipeline))),
            and_(kind == "server", true() if sight.server.covers(SERVER) else false()),
        )
    ]
