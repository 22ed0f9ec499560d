"""SQL of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import MetricRow


class MetricRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Writes many rows in one statement. Rows that are there already stay, so repeating is harmless."""
        if not rows:
            return
        dialect = (await self._session.connection()).dialect.name
        insert: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
        statement = insert(MetricRow.__table__).on_conflict_do_nothing()  # type: ignore[attr-defined]
        await (await self._session.connection()).execute(statement, list(rows))

    async def between(self, resolution: int, start: int, end: int, subject: str = "") -> list[tuple[str, int, bytes]]:
        """(subject, time, values) with start <= time < end, oldest first."""
        query = select(MetricRow.subject, MetricRow.at, MetricRow.data).where(
            MetricRow.resolution == resolution, col(MetricRow.at) >= start, col(MetricRow.at) < end
        )
        if subject:
            query = query.where(MetricRow.subject == subject)
        return list((await self._session.exec(query.order_by(col(MetricRow.at)))).all())

    async def newest(self, resolution: int) -> int | None:
        return (
            await self._session.exec(select(func.max(MetricRow.at)).where(MetricRow.resolution == resolution))
        ).one()

    async def prune(self, resolution: int, before: int) -> None:
        await self._session.exec(
            delete(MetricRow).where(col(MetricRow.resolution) == resolution, col(MetricRow.at) < before)
        )
