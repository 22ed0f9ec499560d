"""SQL of users' sessions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import SessionRow
from gamekeeper.db.readable import column
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page


class SessionRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: SessionRow) -> None:
        self._session.add(row)

    async def find(self, session_id: str) -> SessionRow | None:
        return await self._session.get(SessionRow, session_id)

    async def find_by_hash(self, token_hash: str) -> SessionRow | None:
        return (await self._session.exec(select(SessionRow).where(SessionRow.token_hash == token_hash))).first()

    async def open_of(self, user_id: str, *, but: str = "") -> list[SessionRow]:
        """Those of a user that nobody has ended, but for the one with this id; the oldest first."""
        query = select(SessionRow).where(
            SessionRow.user_id == user_id, col(SessionRow.ended_at).is_(None), SessionRow.id != but
        )
        return list((await self._session.exec(query.order_by(col(SessionRow.created_at)))).all())

    async def page(self, *, user_id: str, cursor: str | None, limit: int) -> Page[SessionRow]:
        """Of one user, or of all where ``user_id`` is empty."""
        query = select(SessionRow).order_by(SessionRow.id)
        if user_id:
            query = query.where(SessionRow.user_id == user_id)
        if cursor:
            query = query.where(col(SessionRow.id) > decode_cursor(cursor))
        return await read_page(self._session, query, column(SessionRow.id), limit)

    async def end(self, session_ids: Collection[str], at: datetime, by: str) -> None:
        ended = update(SessionRow).where(col(SessionRow.id).in_(session_ids), col(SessionRow.ended_at).is_(None))
        await self._session.exec(ended.values(ended_at=at, ended_by=by))

    async def note_use(self, session_id: str, at: datetime, address: str, seldom: datetime) -> None:
        """Unless one later than ``seldom`` was noted already. One later than ``at`` is of a clock that was ahead."""
        before = col(SessionRow.last_used_at)
        used = update(SessionRow).where(col(SessionRow.id) == session_id, or_(before <= seldom, before > at))
        await self._session.exec(used.values(last_used_at=at, last_used_from=address))

    async def delete_before(self, *, ended: datetime, used: datetime, begun: datetime) -> None:
        """Forgets sessions that ended or ran out before."""
        old = or_(
            col(SessionRow.ended_at) < ended, col(SessionRow.last_used_at) < used, col(SessionRow.created_at) < begun
        )
        await self._session.exec(delete(SessionRow).where(old))
