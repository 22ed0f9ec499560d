"""SQL of quotas, and of what the instances of an owner hold of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Float, cast, delete, func
from sqlalchemy import select as select_columns
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import InstanceRow, PortReservationRow, QuotaRow, ReservationRow
from gamekeeper.domain.instance.quota import Quota, QuotaUse

_KIND = "instance"  # of the owners of room


class QuotaRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, owner: str) -> Quota:
        """Without limits for whoever has none."""
        row = await self._session.get(QuotaRow, owner)
        return row.quota() if row is not None else Quota()

    async def put(self, row: QuotaRow) -> None:
        await self._session.merge(row)

    async def delete_of(self, owners: Collection[str]) -> None:
        await self._session.exec(delete(QuotaRow).where(col(QuotaRow.owner).in_(owners)))

    async def use(self, owner: str) -> QuotaUse:
        """All that is promised to instances of the owner that are not deleted, whether they run or not."""
        mine = select_columns(col(InstanceRow.id)).where(
            col(InstanceRow.owner) == owner, col(InstanceRow.deleted_at).is_(None)
        )
        room, ports = ReservationRow, PortReservationRow
        instances = await self._one(select_columns(func.count()).select_from(mine.subquery()))
        bytes_ = func.sum(cast(room.memory_bytes, Float))  # SQLite refuses sums of whole numbers beyond 8 EiB
        cpus, memory = await self._one(
            select_columns(func.sum(room.cpus), bytes_).where(
                col(room.owner_kind) == _KIND, col(room.owner_id).in_(mine)
            )
        )
        numbers = await self._one(
            select_columns(func.count()).where(col(ports.owner_kind) == _KIND, col(ports.owner_id).in_(mine))
        )
        return QuotaUse(int(instances[0]), float(cpus or 0.0), int(memory or 0), int(numbers[0]))

    async def _one(self, query: Any) -> Any:
        await self._session.flush()
        return (await (await self._session.connection()).execute(query)).one()
