"""SQL of the event log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import EventRow
from gamekeeper.db.readable import column, readable
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.db.sight import seen_by
from gamekeeper.domain.access.sight import ALL_SEEING, Sight
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import InvalidError
from gamekeeper.whole_number import whole_number


def _conditions(wanted: EventFilter) -> list[Any]:
    found: list[Any] = [
        col(getattr(EventRow, name)) == value
        for name in ("node", "run", "step", "instance", "actor")
        if (value := getattr(wanted, name))
    ]
    if wanted.kinds:
        found.append(or_(*[_kind(kind) for kind in wanted.kinds]))
    if wanted.since:
        found.append(col(EventRow.at) >= wanted.since)
    if wanted.until:
        found.append(col(EventRow.at) < wanted.until)
    return found


def _seen(sight: Sight) -> list[Any]:
    return [] if sight.is_everything else [seen_by(sight)]


def _kind(kind: str) -> Any:
    return col(EventRow.kind) == kind if "." in kind else col(EventRow.kind).startswith(f"{kind}.", autoescape=True)


class EventRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def page(
        self, wanted: EventFilter, sight: Sight = ALL_SEEING, *, cursor: str | None, limit: int
    ) -> Page[EventRow]:
        """Newest first."""
        query = select(EventRow).where(*_conditions(wanted), *_seen(sight)).order_by(col(EventRow.seq).desc())
        if cursor:
            query = query.where(col(EventRow.seq) < _seq(decode_cursor(cursor)))
        return await read_page(self._session, query, column(EventRow.seq), limit)

    async def after(
        self, seq: int, wanted: EventFilter, limit: int, up_to: int | None = None, sight: Sight = ALL_SEEING
    ) -> tuple[list[EventRow], list[int]]:
        """The events that can be read, oldest first, and the numbers of all. One that can't be read would otherwise
        hold up its followers for ever."""
        query = select(EventRow).where(col(EventRow.seq) > seq, *_conditions(wanted), *_seen(sight))
        query = query.order_by(col(EventRow.seq))
        if up_to is not None:
            query = query.where(col(EventRow.seq) <= up_to)
        return await readable(self._session, query.limit(limit), column(EventRow.seq))

    async def newest_seq(self) -> int:
        return int((await self._session.exec(select(func.max(EventRow.seq)))).one() or 0)

    async def oldest_seq(self) -> int:
        return int((await self._session.exec(select(func.min(EventRow.seq)))).one() or 0)

    async def newest_of(self, *kinds: EventKind) -> EventRow | None:
        """The newest event of one of these kinds."""
        found = select(EventRow).where(col(EventRow.kind).in_(kinds)).order_by(col(EventRow.seq).desc()).limit(1)
        return (await self._session.exec(found)).first()

    async def prune(self, before: datetime, limit: int) -> int:
        """Drops the oldest events that are older than ``before``; how many."""
        old = select(EventRow.seq).where(col(EventRow.at) < before).order_by(col(EventRow.seq)).limit(limit)
        result = await self._session.exec(delete(EventRow).where(col(EventRow.seq).in_(old)))
        return int(result.rowcount)

    async def newest_beyond(self, node_id: str, actor: str, keep: int) -> int:
        """The newest event of the node that is that actor's and not among the last ``keep``; 0 where there is none."""
        told = select(EventRow.seq).where(col(EventRow.node) == node_id, col(EventRow.actor) == actor)
        found = (await self._session.exec(told.order_by(col(EventRow.seq).desc()).offset(keep).limit(1))).first()
        return found or 0

    async def prune_told(self, node_id: str, actor: str, up_to: int, limit: int) -> int:
        """Drops the oldest of them up to ``up_to``; how many."""
        told = select(EventRow.seq).where(col(EventRow.node) == node_id, col(EventRow.actor) == actor)
        old = told.where(col(EventRow.seq) <= up_to).order_by(col(EventRow.seq)).limit(limit)
        result = await self._session.exec(delete(EventRow).where(col(EventRow.seq).in_(old)))
        return int(result.rowcount)


def _seq(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise InvalidError("the cursor is not one of this list", hint="use the next_cursor of the page before")
    return number
