"""SQL of users."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import SessionRow, UserRow
from gamekeeper.db.readable import column
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import UserKind
from gamekeeper.errors import NotFoundError


class UserRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: UserRow) -> None:
        self._session.add(row)

    async def find(self, user_id: str) -> UserRow | None:
        return await self._session.get(UserRow, user_id)

    async def get(self, user_id: str) -> UserRow:
        row = await self.find(user_id)
        if row is None:
            raise _no_user(user_id)
        return row

    async def locked(self, user_id: str) -> UserRow:
        """The user, whom nobody else changes until this transaction ends. Raises NotFoundError."""
        query = select(UserRow).where(UserRow.id == user_id).with_for_update()
        row = (await self._session.exec(query)).first()
        if row is None:
            raise _no_user(user_id)
        return row

    async def find_named(self, name_key: str) -> UserRow | None:
        return (await self._session.exec(select(UserRow).where(UserRow.name_key == name_key))).first()

    async def find_like(self, name_key: str, name_looks: str) -> UserRow | None:
        """One whose name is this one, or would be taken for it."""
        like = or_(col(UserRow.name_key) == name_key, col(UserRow.name_looks) == name_looks)
        return (await self._session.exec(select(UserRow).where(like).limit(1))).first()

    async def names(self, user_ids: Collection[str]) -> dict[str, str]:
        query = select(UserRow.id, UserRow.name).where(col(UserRow.id).in_(user_ids))
        return dict((await self._session.exec(query)).all())

    async def count(self) -> int:
        return int((await self._session.exec(select(func.count()).select_from(UserRow))).one())

    async def admins(self) -> list[UserRow]:
        """The first two persons who are admins."""
        query = select(UserRow).where(UserRow.role == Role.ADMIN, UserRow.kind == UserKind.PERSON)
        return list((await self._session.exec(query.order_by(UserRow.id).limit(2))).all())

    async def page(self, *, cursor: str | None, limit: int) -> Page[UserRow]:
        query = select(UserRow).order_by(UserRow.id)
        if cursor:
            query = query.where(col(UserRow.id) > decode_cursor(cursor))
        return await read_page(self._session, query, column(UserRow.id), limit)

    async def delete(self, user_id: str) -> None:
        """Deletes the user with its keys and sessions."""
        await self._session.exec(delete(UserRow).where(col(UserRow.id) == user_id))

    async def addresses(self, user_id: str, since: datetime) -> list[str]:
        """From where the user has signed in lately."""
        query = select(SessionRow.address).where(SessionRow.user_id == user_id, col(SessionRow.created_at) > since)
        return list((await self._session.exec(query.distinct().limit(100))).all())


def _no_user(user_id: str) -> NotFoundError:
    return NotFoundError(f'there is no user "{user_id}"', hint="gamekeeper user ls lists them")
