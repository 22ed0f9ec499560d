"""SQL of stored pipelines."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import PipelineRow
from gamekeeper.db.readable import column
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.db.scope import PIPELINES, narrowed
from gamekeeper.domain.access.access import Scope
from gamekeeper.errors import NotFoundError


class PipelineRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, name: str, version: int | None = None) -> PipelineRow | None:
        """One version, or the newest."""
        query = select(PipelineRow).where(PipelineRow.name == name, col(PipelineRow.deleted_at).is_(None))
        if version is not None:
            query = query.where(PipelineRow.version == version)
        return (await self._session.exec(query.order_by(col(PipelineRow.version).desc()).limit(1))).first()

    async def get(self, name: str, version: int | None = None) -> PipelineRow:
        """Raises NotFoundError that names what is not there."""
        row = await self.find(name, version)
        if row is None:
            raise no_pipeline(name, version)
        return row

    async def find_whatever(self, name: str, version: int) -> PipelineRow | None:
        """A version, and one of a pipeline that was deleted as well."""
        return await self._session.get(PipelineRow, (name, version))

    async def next_version(self, name: str) -> int:
        query = select(func.max(PipelineRow.version)).where(PipelineRow.name == name)
        return ((await self._session.exec(query)).one() or 0) + 1

    def add(self, row: PipelineRow) -> None:
        self._session.add(row)

    async def versions(self, name: str, cursor: str | None, limit: int) -> Page[PipelineRow]:
        """Newest first."""
        query = select(PipelineRow).where(PipelineRow.name == name, col(PipelineRow.deleted_at).is_(None))
        if cursor:
            query = query.where(col(PipelineRow.version) < int(decode_cursor(cursor)))
        query = query.order_by(col(PipelineRow.version).desc())
        return await read_page(self._session, query, column(PipelineRow.version), limit)

    async def newest(self, scope: Scope, cursor: str | None, limit: int) -> Page[PipelineRow]:
        """The newest version of each pipeline, by name."""
        newest = (
            select(PipelineRow.name, func.max(PipelineRow.version).label("version"))
            .where(col(PipelineRow.deleted_at).is_(None))
            .group_by(PipelineRow.name)
            .subquery()
        )
        query = select(PipelineRow).join(
            newest, (col(PipelineRow.name) == newest.c.name) & (col(PipelineRow.version) == newest.c.version)
        )
        query = narrowed(query, scope, PIPELINES)
        if cursor:
            query = query.where(col(PipelineRow.name) > decode_cursor(cursor))
        return await read_page(self._session, query.order_by(PipelineRow.name), column(PipelineRow.name), limit)

    async def delete(self, name: str, now: datetime) -> bool:
        """True when there was one."""
        query = update(PipelineRow).where(col(PipelineRow.name) == name, col(PipelineRow.deleted_at).is_(None))
        done = await self._session.exec(query.values(deleted_at=now))
        return bool(done.rowcount)


def no_pipeline(name: str, version: int | None = None) -> NotFoundError:
    what = f'pipeline "{name}"' + (f" version {version}" if version is not None else "")
    return NotFoundError(f"there is no {what}", hint="gamekeeper pipeline ls lists them")
