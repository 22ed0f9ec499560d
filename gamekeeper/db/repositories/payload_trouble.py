"""SQL of payloads that could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import PayloadTroubleRow
from gamekeeper.db.models.columns import storable
from gamekeeper.domain.access.payload_trouble import PayloadTrouble

SHOWN = 1000


class PayloadTroubleRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def note(self, reader: str, trouble: PayloadTrouble, now: datetime) -> None:
        subject, key_id = storable(trouble.subject)[:400], storable(trouble.key_id)[:40]
        row = await self._session.get(PayloadTroubleRow, (reader, subject, key_id))
        if row is None:
            row = PayloadTroubleRow(reader=reader, subject=subject, key_id=key_id, message="", first_at=now)
        row.message, row.is_missing, row.last_at = storable(trouble.message)[:600], trouble.is_missing, now
        self._session.add(row)

    async def take_away(self, reader: str, subject: str, key_id: str) -> None:
        of_reader = and_(col(PayloadTroubleRow.reader) == reader, col(PayloadTroubleRow.subject) == storable(subject))
        await self._session.exec(delete(PayloadTroubleRow).where(of_reader, col(PayloadTroubleRow.key_id) == key_id))

    async def since(self, time: datetime) -> Sequence[PayloadTroubleRow]:
        """Those that were met after ``time``, the newest first."""
        newest = select(PayloadTroubleRow).where(col(PayloadTroubleRow.last_at) > time)
        return (await self._session.exec(newest.order_by(col(PayloadTroubleRow.last_at).desc()).limit(SHOWN))).all()

    async def has_before(self, time: datetime) -> bool:
        old = select(PayloadTroubleRow.reader).where(col(PayloadTroubleRow.last_at) <= time).limit(1)
        return (await self._session.exec(old)).first() is not None

    async def delete_before(self, time: datetime) -> None:
        await self._session.exec(delete(PayloadTroubleRow).where(col(PayloadTroubleRow.last_at) <= time))

    async def delete_of_key(self, key_id: str) -> None:
        await self._session.exec(delete(PayloadTroubleRow).where(col(PayloadTroubleRow.key_id) == key_id))
