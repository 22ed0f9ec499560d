"""SQL of users' authenticators and their recovery codes."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import AuthenticatorRow, RecoveryCodeRow


class AuthenticatorRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: AuthenticatorRow) -> None:
        self._session.add(row)

    async def find(self, user_id: str, *, is_confirmed: bool) -> AuthenticatorRow | None:
        return await self._session.get(AuthenticatorRow, (user_id, is_confirmed))

    async def forget(self, user_id: str, *, is_confirmed: bool) -> None:
        of_user = col(AuthenticatorRow.user_id) == user_id, col(AuthenticatorRow.is_confirmed) == is_confirmed
        await self._session.exec(delete(AuthenticatorRow).where(*of_user))

    async def forget_all(self, user_id: str) -> None:
        """With the recovery codes."""
        await self._session.exec(delete(AuthenticatorRow).where(col(AuthenticatorRow.user_id) == user_id))
        await self.set_recovery_codes(user_id, ())

    async def set_recovery_codes(self, user_id: str, code_hashes: Collection[str]) -> None:
        """In the place of those of before."""
        await self._session.exec(delete(RecoveryCodeRow).where(col(RecoveryCodeRow.user_id) == user_id))
        for code_hash in code_hashes:
            self._session.add(RecoveryCodeRow(code_hash=code_hash, user_id=user_id))

    async def take_recovery_code(self, user_id: str, code_hash: str) -> bool:
        """False for one that is none, or was taken before."""
        code = col(RecoveryCodeRow.user_id) == user_id, col(RecoveryCodeRow.code_hash) == code_hash
        return bool((await self._session.exec(delete(RecoveryCodeRow).where(*code))).rowcount)

    async def key_ids(self) -> set[str]:
        """The master keys that some authenticator needs."""
        return set((await self._session.exec(select(AuthenticatorRow.key_id).distinct())).all())

    async def under_other_keys(self, key_id: str) -> list[AuthenticatorRow]:
        query = select(AuthenticatorRow).where(AuthenticatorRow.key_id != key_id)
        return list((await self._session.exec(query.order_by(AuthenticatorRow.user_id))).all())
