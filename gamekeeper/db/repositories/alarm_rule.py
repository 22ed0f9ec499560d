"""SQL of the rules of alarms, as far as users have made or changed them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import AlarmRuleRow
from gamekeeper.db.readable import column, readable


class AlarmRuleRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: AlarmRuleRow) -> None:
        self._session.add(row)

    async def find(self, rule_id: str) -> AlarmRuleRow | None:
        return await self._session.get(AlarmRuleRow, rule_id)

    async def all(self) -> Sequence[AlarmRuleRow]:
        """Those that can be read."""
        query = select(AlarmRuleRow).order_by(AlarmRuleRow.id)
        return (await readable(self._session, query, column(AlarmRuleRow.id)))[0]

    async def delete(self, row: AlarmRuleRow) -> None:
        await self._session.delete(row)
