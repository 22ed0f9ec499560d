"""SQL of the schedules of instances."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import InstanceScheduleRow
from gamekeeper.db.readable import one_readable
from gamekeeper.errors import NotFoundError

_BATCH = 500


class InstanceScheduleRepository:
    """One that was removed is gone for everybody but ``find_whatever``, ``of_whatever`` and ``untold``."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: InstanceScheduleRow) -> None:
        self._session.add(row)

    async def forget(self, row: InstanceScheduleRow) -> None:
        await self._session.delete(row)

    async def of(self, instance_id: str) -> list[InstanceScheduleRow]:
        return [row for row in await self.of_whatever(instance_id) if not row.is_removed]

    async def of_whatever(self, instance_id: str) -> list[InstanceScheduleRow]:
        query = select(InstanceScheduleRow).where(InstanceScheduleRow.instance_id == instance_id)
        return list((await self._session.exec(query.order_by(InstanceScheduleRow.name))).all())

    async def find_whatever(self, instance_id: str, name: str) -> InstanceScheduleRow | None:
        """A schedule that nobody else changes until this transaction ends."""
        locked = self._session.get(InstanceScheduleRow, (instance_id, name), with_for_update=True)
        return await one_readable(locked, f"schedule {name} of instance {instance_id}")

    async def find(self, instance_id: str, name: str) -> InstanceScheduleRow | None:
        row = await self.find_whatever(instance_id, name)
        return row if row is not None and not row.is_removed else None

    async def get(self, instance_id: str, name: str) -> InstanceScheduleRow:
        row = await self.find(instance_id, name)
        if row is None:
            hint = f"gamekeeper instance schedule ls {instance_id}"
            raise NotFoundError(f'instance "{instance_id}" has no schedule "{name}"', hint=hint)
        return row

    async def untold(self, changed_before: datetime) -> list[InstanceScheduleRow]:
        """Those that Temporal does not have as they are."""
        query = select(InstanceScheduleRow).where(
            col(InstanceScheduleRow.is_told).is_(False), col(InstanceScheduleRow.updated_at) < changed_before
        )
        return list((await self._session.exec(query.limit(_BATCH))).all())

    async def after(self, instance_id: str, name: str, limit: int) -> list[InstanceScheduleRow]:
        """The next ones in the order of instances and names."""
        instance, own = col(InstanceScheduleRow.instance_id), col(InstanceScheduleRow.name)
        query = select(InstanceScheduleRow).where(
            col(InstanceScheduleRow.is_told).is_(True),
            col(InstanceScheduleRow.is_removed).is_(False),
            (instance > instance_id) | ((instance == instance_id) & (own > name)),
        )
        query = query.order_by(InstanceScheduleRow.instance_id, InstanceScheduleRow.name)
        return list((await self._session.exec(query.limit(limit))).all())

    async def names(self) -> set[tuple[str, str]]:
        """Instance and name of all rows there are."""
        query = select(InstanceScheduleRow.instance_id, InstanceScheduleRow.name)
        return {(instance, name) for instance, name in (await self._session.exec(query)).all()}

    async def tell_all_again(self) -> None:
        """Has Temporal told of all that there are."""
        statement: Any = update(InstanceScheduleRow).values(is_told=False)
        await (await self._session.connection()).execute(statement)

    async def remove_all(self, instance_id: str, now: datetime) -> Sequence[InstanceScheduleRow]:
        """Marks all schedules of an instance for removal."""
        rows = await self.of(instance_id)
        for row in rows:
            row.is_removed, row.is_told, row.updated_at, row.version = True, False, now, row.version + 1
        return rows
