"""SQL of secrets and their versions.

Whoever seals a value, or decides that a master key is needed no longer, takes the lock first: so no row comes to need
a key that was just forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, text, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import SecretRow, SecretVersionRow
from gamekeeper.db.readable import column
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.errors import NotFoundError
from gamekeeper.ports.master_keys import WrappedKey

_LOCK_KEY = 4_207_016  # any number, the same in every api process


def no_secret(name: str) -> NotFoundError:
    return NotFoundError(f'there is no secret "{name}"', hint=f"gamekeeper secret set {name}")


class SecretRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock(self) -> None:
        """Changes of secrets take turns until the transaction's end. On SQLite a writer is alone once it has begun."""
        if self._session.get_bind().dialect.name == "postgresql":
            connection = await self._session.connection()
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))

    def add(self, row: SecretRow | SecretVersionRow) -> None:
        self._session.add(row)

    async def flush(self) -> None:
        """A secret has to be there before the versions that refer to it."""
        await self._session.flush()

    async def find(self, name: str) -> SecretRow | None:
        return await self._session.get(SecretRow, name)

    async def get(self, name: str) -> SecretRow:
        """Raises NotFoundError."""
        row = await self.find(name)
        if row is None:
            raise no_secret(name)
        return row

    async def count(self) -> int:
        return int((await self._session.exec(select(func.count()).select_from(SecretRow))).one())

    async def page(self, *, cursor: str | None, limit: int) -> Page[SecretRow]:
        query = select(SecretRow).order_by(SecretRow.name)
        if cursor:
            query = query.where(col(SecretRow.name) > decode_cursor(cursor))
        return await read_page(self._session, query, column(SecretRow.name), limit)

    async def current(self, names: Collection[str]) -> dict[str, tuple[SecretRow, SecretVersionRow | None]]:
        """Secrets by their names, each with the version that is in use."""
        version = col(SecretVersionRow.number) == col(SecretRow.current)
        query = (
            select(SecretRow, SecretVersionRow)
            .join(SecretVersionRow, (col(SecretVersionRow.secret_name) == col(SecretRow.name)) & version, isouter=True)
            .where(col(SecretRow.name).in_(names))
        )
        return {row.name: (row, found) for row, found in (await self._session.exec(query)).all()}

    async def version(self, name: str, number: int) -> SecretVersionRow:
        """Raises NotFoundError."""
        row = await self._session.get(SecretVersionRow, (name, number))
        if row is None:
            raise NotFoundError(
                f'the secret "{name}" has no version {number}', hint=f"gamekeeper secret show {name} lists them"
            )
        return row

    async def versions(self, name: str) -> Sequence[SecretVersionRow]:
        """Newest first."""
        query = select(SecretVersionRow).where(SecretVersionRow.secret_name == name)
        return (await self._session.exec(query.order_by(col(SecretVersionRow.number).desc()))).all()

    async def forget_versions(self, name: str, below: int) -> None:
        query = delete(SecretVersionRow).where(col(SecretVersionRow.secret_name) == name)
        await self._session.exec(query.where(col(SecretVersionRow.number) < below))

    async def delete(self, name: str) -> None:
        """Deletes a secret, and its versions with it."""
        await self._session.exec(delete(SecretRow).where(col(SecretRow.name) == name))

    async def note_use(self, names: Collection[str], at: datetime, by: str, seldom: datetime) -> None:
        """Unless a use later than ``seldom`` was noted already. One later than ``at`` is of a clock that was ahead.

        A row at a time, in one order for all: two that note the same secrets at once would else wait for each other."""
        before = col(SecretRow.last_used_at)
        is_due = or_(before.is_(None), before <= seldom, before > at)
        for name in sorted(names):
            used = update(SecretRow).where(col(SecretRow.name) == name, is_due)
            await self._session.exec(used.values(last_used_at=at, last_used_by=by))

    async def key_ids(self) -> set[str]:
        """The master keys that some version needs."""
        query = select(SecretVersionRow.key_id).where(SecretVersionRow.key_id != "").distinct()
        return set((await self._session.exec(query)).all())

    async def under_other_keys(
        self, key_id: str, after: tuple[str, int], limit: int
    ) -> Sequence[tuple[SecretRow, SecretVersionRow]]:
        """Versions under another master key than this one, in their order, behind the place ``after``."""
        name, number = col(SecretVersionRow.secret_name), col(SecretVersionRow.number)
        query = (
            select(SecretRow, SecretVersionRow)
            .join(SecretVersionRow, name == col(SecretRow.name))
            .where(SecretVersionRow.key_id != "", SecretVersionRow.key_id != key_id)
            .where(or_(name > after[0], (name == after[0]) & (number > after[1])))
            .order_by(name, number)
            .limit(limit)
        )
        return (await self._session.exec(query)).all()

    async def rewrap(self, row: SecretVersionRow, wrapped: WrappedKey) -> None:
        """Replaces the wrapped key of a version, unless somebody else has done it."""
        name, number = col(SecretVersionRow.secret_name), col(SecretVersionRow.number)
        same = name == row.secret_name, number == row.number, col(SecretVersionRow.key_id) == row.key_id
        await self._session.exec(
            update(SecretVersionRow).where(*same).values(key_id=wrapped.key_id, wrapped_key=wrapped.data)
        )
