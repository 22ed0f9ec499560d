"""SQL of users' identities at an OpenID provider."""

from __future__ import annotations

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import IdentityRow


class IdentityRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: IdentityRow) -> None:
        self._session.add(row)

    async def find(self, issuer: str, subject: str) -> IdentityRow | None:
        query = select(IdentityRow).where(IdentityRow.issuer == issuer, IdentityRow.subject == subject)
        return (await self._session.exec(query)).first()

    async def find_of(self, user_id: str, identity_id: str) -> IdentityRow | None:
        row = await self._session.get(IdentityRow, identity_id)
        return row if row is not None and row.user_id == user_id else None

    async def of(self, user_id: str) -> list[IdentityRow]:
        query = select(IdentityRow).where(IdentityRow.user_id == user_id).order_by(col(IdentityRow.created_at))
        return list((await self._session.exec(query)).all())

    async def delete(self, row: IdentityRow) -> None:
        await self._session.delete(row)
