"""SQL of silences and maintenance windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import SilenceRow, WindowRow
from gamekeeper.db.readable import column, readable
from gamekeeper.errors import NotFoundError


class SilenceRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: SilenceRow) -> None:
        self._session.add(row)

    async def get(self, silence_id: str) -> SilenceRow:
        """Raises NotFoundError."""
        row = await self._session.get(SilenceRow, silence_id)
        if row is None:
            raise NotFoundError(f'there is no silence "{silence_id}"', hint="gamekeeper silence ls lists them")
        return row

    async def standing(self, now: datetime) -> Sequence[SilenceRow]:
        """Those that have not ended; the next to end first."""
        query = select(SilenceRow).where(col(SilenceRow.until) > now).order_by(col(SilenceRow.until), SilenceRow.id)
        return (await readable(self._session, query, column(SilenceRow.id)))[0]

    async def count(self, now: datetime) -> int:
        query = select(func.count()).select_from(SilenceRow).where(col(SilenceRow.until) > now)
        return int((await self._session.exec(query)).one())

    async def delete(self, row: SilenceRow) -> None:
        await self._session.delete(row)

    async def prune(self, before: datetime) -> None:
        await self._session.exec(delete(SilenceRow).where(col(SilenceRow.until) < before))


class WindowRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: WindowRow) -> None:
        self._session.add(row)

    async def find(self, name: str) -> WindowRow | None:
        return await self._session.get(WindowRow, name)

    async def get(self, name: str) -> WindowRow:
        """Raises NotFoundError."""
        row = await self.find(name)
        if row is None:
            raise NotFoundError(f'there is no window "{name}"', hint="gamekeeper window ls lists them")
        return row

    async def all(self, now: datetime) -> Sequence[WindowRow]:
        """The recurring ones, and those of own work that have not ended."""
        query = select(WindowRow).where(or_(col(WindowRow.until).is_(None), col(WindowRow.until) > now))
        return (await readable(self._session, query.order_by(WindowRow.name), column(WindowRow.name)))[0]

    async def of_work(self) -> tuple[dict[str, WindowRow], set[str]]:
        """The windows that Gamekeeper's own work has opened, by their names; and the names of those that can't be
        read."""
        query = select(WindowRow).where(WindowRow.source != "user")
        rows, names = await readable(self._session, query, column(WindowRow.name))
        found = {row.name: row for row in rows}
        return found, set(names) - found.keys()

    async def delete(self, row: WindowRow) -> None:
        await self._session.delete(row)

    async def prune(self, before: datetime) -> None:
        ended = delete(WindowRow).where(col(WindowRow.source) != "user", col(WindowRow.until) < before)
        await self._session.exec(ended)
