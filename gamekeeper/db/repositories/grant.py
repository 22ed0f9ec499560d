"""SQL of grants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import GrantRow
from gamekeeper.db.readable import ODD_ROWS, column, readable
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.domain.access.grant import Grant, HolderKind, holder
from gamekeeper.errors import NotFoundError
from gamekeeper.supervised import Supervised


class GrantRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: GrantRow) -> None:
        self._session.add(row)

    async def get(self, grant_id: str) -> GrantRow:
        row = await self._session.get(GrantRow, grant_id)
        if row is None:
            raise NotFoundError(f'there is no grant "{grant_id}"', hint="gamekeeper grant ls lists them")
        return row

    async def delete(self, row: GrantRow) -> None:
        await self._session.delete(row)

    async def delete_of(self, kind: HolderKind, holder_ids: Collection[str]) -> None:
        """All grants of holders that are gone."""
        gone = col(GrantRow.holder_kind) == kind.value, col(GrantRow.holder_id).in_(sorted(holder_ids))
        await self._session.exec(delete(GrantRow).where(*gone))

    async def delete_ended_before(self, time: datetime) -> None:
        await self._session.exec(delete(GrantRow).where(col(GrantRow.expires_at) < time))

    async def count_of(self, kind: HolderKind, holder_id: str, now: datetime) -> int:
        """Grants of the holder that have not ended."""
        query = select(func.count()).where(*_of(kind, holder_id), _is_good(now))
        return int((await self._session.exec(query)).one())

    async def good(self, holders: Collection[tuple[str, str]], now: datetime) -> Mapping[str, tuple[Grant, ...]]:
        """The grants of each holder that have not ended. One that can't be read gives nothing, and hides no other."""
        if not holders:
            return {}
        whose = tuple_(col(GrantRow.holder_kind), col(GrantRow.holder_id)).in_(sorted(set(holders)))
        query = select(GrantRow).where(whose, _is_good(now)).order_by(GrantRow.id)
        rows, _ = await readable(self._session, query, column(GrantRow.id))
        found: dict[str, list[Grant]] = defaultdict(list)
        odd: Supervised = self._session.info[ODD_ROWS]
        for row in rows:
            try:
                found[holder(row.holder_kind, row.holder_id)].append(row.grant())
            except (ValueError, TypeError, AttributeError) as error:
                odd.skipped(f"grants {row.id}", error)
        return {name: tuple(grants) for name, grants in found.items()}

    async def page(
        self, *, holder_kind: str | None, holder_id: str | None, kind: str | None, cursor: str | None, limit: int
    ) -> Page[GrantRow]:
        query = select(GrantRow).order_by(GrantRow.id)
        for name, value in (("holder_kind", holder_kind), ("holder_id", holder_id), ("kind", kind)):
            if value is not None:
                query = query.where(getattr(GrantRow, name) == value)
        if cursor:
            query = query.where(col(GrantRow.id) > decode_cursor(cursor))
        return await read_page(self._session, query, column(GrantRow.id), limit)


def _of(kind: HolderKind, holder_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(GrantRow.holder_kind) == kind.value, col(GrantRow.holder_id) == holder_id


def _is_good(now: datetime) -> ColumnElement[bool]:
    return or_(col(GrantRow.expires_at).is_(None), col(GrantRow.expires_at) > now)
