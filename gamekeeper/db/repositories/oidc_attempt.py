"""SQL of sign-ins at an OpenID provider that are under way. Each is taken once, whoever asks for it at once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import OidcAttemptRow, OidcCodeRow

MAX_KEPT = 10_000  # the oldest makes room


class OidcAttemptRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, row: OidcAttemptRow) -> None:
        column = col(OidcAttemptRow.created_at)
        surplus = select(OidcAttemptRow.created_at).order_by(column.desc()).offset(MAX_KEPT - 1).limit(1)
        oldest = (await self._session.exec(surplus)).first()
        if oldest is not None:
            await self._session.exec(delete(OidcAttemptRow).where(column <= oldest))
        self._session.add(row)

    async def find(self, state_hash: str, browser_hash: str) -> OidcAttemptRow | None:
        """One that this browser began. Nothing is taken."""
        row = await self._session.get(OidcAttemptRow, state_hash)
        return row if row is not None and row.browser_hash == browser_hash else None

    async def take(self, state_hash: str, browser_hash: str, since: datetime) -> OidcAttemptRow | None:
        """None for one that this browser did not begin, that was taken before, or that took too long."""
        row = await self.find(state_hash, browser_hash)
        if row is None:
            return None
        self._session.expunge(row)
        taken = await self._session.exec(delete(OidcAttemptRow).where(col(OidcAttemptRow.state_hash) == state_hash))
        return row if taken.rowcount and row.created_at > since else None

    def add_code(self, row: OidcCodeRow) -> None:
        self._session.add(row)

    async def find_code(self, code_hash: str) -> OidcCodeRow | None:
        return await self._session.get(OidcCodeRow, code_hash)

    async def delete_codes_of(self, user_id: str) -> None:
        await self._session.exec(delete(OidcCodeRow).where(col(OidcCodeRow.user_id) == user_id))

    async def take_code(self, code_hash: str, since: datetime) -> OidcCodeRow | None:
        """None for one that is none, that was taken before, or that is too old."""
        row = await self.find_code(code_hash)
        if row is None:
            return None
        self._session.expunge(row)
        taken = await self._session.exec(delete(OidcCodeRow).where(col(OidcCodeRow.code_hash) == code_hash))
        return row if taken.rowcount and row.created_at > since else None

    async def delete_before(self, attempts: datetime, codes: datetime) -> None:
        await self._session.exec(delete(OidcAttemptRow).where(col(OidcAttemptRow.created_at) < attempts))
        await self._session.exec(delete(OidcCodeRow).where(col(OidcCodeRow.created_at) < codes))
