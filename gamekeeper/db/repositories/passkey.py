"""SQL of users' passkeys, and of the challenges that they have answered."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import delete, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import PasskeyRow, SpentChallengeRow


class PasskeyRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: PasskeyRow) -> None:
        self._session.add(row)

    async def find(self, user_id: str, passkey_id: str) -> PasskeyRow | None:
        """None for one of another user, too."""
        row = await self._session.get(PasskeyRow, passkey_id)
        return row if row is not None and row.user_id == user_id else None

    async def find_credential(self, credential_id: str) -> PasskeyRow | None:
        """As it is now, whatever this session has read before."""
        query = select(PasskeyRow).where(PasskeyRow.credential_id == credential_id)
        return (await self._session.exec(query.execution_options(populate_existing=True))).first()

    async def of_user(self, user_id: str) -> list[PasskeyRow]:
        """The oldest first."""
        query = select(PasskeyRow).where(PasskeyRow.user_id == user_id)
        return list((await self._session.exec(query.order_by(col(PasskeyRow.created_at), col(PasskeyRow.id)))).all())

    async def count(self, user_id: str, rp_id: str) -> int:
        """Those of one host name, which no passkey has that is empty."""
        query = select(func.count()).select_from(PasskeyRow)
        own = col(PasskeyRow.user_id) == user_id, col(PasskeyRow.rp_id) == rp_id
        return int((await self._session.exec(query.where(*own))).one())

    async def delete(self, row: PasskeyRow) -> None:
        await self._session.delete(row)
        await self._session.flush()

    async def spend(self, challenge: bytes, until: datetime, now: datetime) -> bool:
        """Takes a challenge that is good ``until`` then. False for one that was taken before. Those that ran out by
        now are forgotten."""
        await self._session.exec(delete(SpentChallengeRow).where(col(SpentChallengeRow.expires_at) < now))
        challenge_hash = hashlib.sha256(challenge).hexdigest()
        if await self._session.get(SpentChallengeRow, challenge_hash) is not None:
            return False
        self._session.add(SpentChallengeRow(challenge_hash=challenge_hash, expires_at=until))
        return True
