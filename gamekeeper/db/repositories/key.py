"""SQL of API keys and their secrets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, or_, text, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import ApiKeyRow, ApiKeySecretRow
from gamekeeper.db.readable import ODD_ROWS, column
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.errors import NotFoundError
from gamekeeper.supervised import Supervised

_LOCK_KEY = 4_207_003  # any number, the same in every api process


class KeyRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock(self) -> None:
        """Changes of keys and users take turns until the transaction's end. On SQLite a writer is alone in any case."""
        connection = await self._session.connection()
        if self._session.get_bind().dialect.name == "postgresql":
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))

    def add(self, row: ApiKeyRow | ApiKeySecretRow) -> None:
        self._session.add(row)

    async def flush(self) -> None:
        """Keys have to be there before the secrets that refer to them."""
        await self._session.flush()

    async def get(self, key_id: str) -> ApiKeyRow:
        row = await self._session.get(ApiKeyRow, key_id)
        if row is None:
            raise NotFoundError(f'there is no API key "{key_id}"', hint="gamekeeper key ls lists them")
        return row

    async def by_hash(self, key_hash: str) -> tuple[ApiKeySecretRow, ApiKeyRow] | None:
        return next(iter(await self.by_hashes([key_hash])), None)

    async def by_hashes(self, key_hashes: Sequence[str]) -> Sequence[tuple[ApiKeySecretRow, ApiKeyRow]]:
        """A row that can't be read is left out: its key opens nothing, and those of others end and open as ever."""
        query = select(ApiKeySecretRow, ApiKeyRow).join(ApiKeyRow, col(ApiKeyRow.id) == col(ApiKeySecretRow.key_id))
        key_hash, rows = col(ApiKeySecretRow.key_hash), list[tuple[ApiKeySecretRow, ApiKeyRow]]()
        try:
            return (await self._session.exec(query.where(key_hash.in_(key_hashes)))).all()
        except (ValueError, TypeError):
            for wanted in key_hashes:
                with self._leaving_out_odd(f"api_key_secrets {wanted}"):
                    rows += (await self._session.exec(query.where(key_hash == wanted))).all()
        return rows

    @contextmanager
    def _leaving_out_odd(self, name: str) -> Iterator[None]:
        odd: Supervised = self._session.info[ODD_ROWS]
        try:
            yield
        except (ValueError, TypeError) as error:
            odd.skipped(name, error)

    async def count_secrets(self, key_id: str, now: datetime) -> int:
        """Secrets of the key that are good."""
        secrets = select(func.count()).where(col(ApiKeySecretRow.key_id) == key_id, is_good_secret(now))
        return int((await self._session.exec(secrets)).one())

    async def is_empty(self) -> bool:
        """True where no key was ever made."""
        return (await self._session.exec(select(ApiKeyRow.id).limit(1))).first() is None

    async def names_of_good(self, now: datetime) -> list[str]:
        return list((await self._session.exec(select(ApiKeyRow.name).where(is_good_key(now)))).all())

    async def find_good(self, name: str, now: datetime) -> ApiKeyRow | None:
        return (await self._session.exec(select(ApiKeyRow).where(ApiKeyRow.name == name, is_good_key(now)))).first()

    async def page(self, *, user_id: str = "", cursor: str | None, limit: int) -> Page[ApiKeyRow]:
        """Of one user, or of all."""
        query = select(ApiKeyRow).order_by(ApiKeyRow.id)
        if user_id:
            query = query.where(col(ApiKeyRow.user_id) == user_id)
        if cursor:
            query = query.where(col(ApiKeyRow.id) > decode_cursor(cursor))
        return await read_page(self._session, query, column(ApiKeyRow.id), limit)

    async def end_secrets(self, key_id: str, until: datetime) -> None:
        """All secrets of the key are good until then, unless they end before."""
        secrets, ends = col(ApiKeySecretRow.key_id) == key_id, col(ApiKeySecretRow.good_until)
        ended = update(ApiKeySecretRow).where(secrets, or_(ends.is_(None), ends > until))
        await self._session.exec(ended.values(good_until=until))

    async def note_use(self, key_id: str, at: datetime, address: str, seldom: datetime) -> None:
        """Unless one later than ``seldom`` was noted already. One later than ``at`` is of a clock that was ahead."""
        before = col(ApiKeyRow.last_used_at)
        is_due = or_(before.is_(None), before <= seldom, before > at)
        used = update(ApiKeyRow).where(col(ApiKeyRow.id) == key_id, is_due)
        await self._session.exec(used.values(last_used_at=at, last_used_from=address))

    async def ended_before(self, time: datetime) -> list[str]:
        ended = or_(col(ApiKeyRow.revoked_at) < time, col(ApiKeyRow.expires_at) < time)
        return list((await self._session.exec(select(ApiKeyRow.id).where(ended, ~col(ApiKeyRow.is_given)))).all())

    async def delete_secrets_before(self, time: datetime) -> None:
        """Deletes secrets that ended before. Those of keys that a start was given stay, as the keys do."""
        given = select(ApiKeyRow.id).where(col(ApiKeyRow.is_given))
        ended = col(ApiKeySecretRow.good_until) < time
        await self._session.exec(delete(ApiKeySecretRow).where(ended, col(ApiKeySecretRow.key_id).not_in(given)))

    async def delete(self, key_ids: Sequence[str]) -> None:
        """Deletes keys, and their secrets with them."""
        await self._session.exec(delete(ApiKeyRow).where(col(ApiKeyRow.id).in_(key_ids)))


def is_good_secret(now: datetime) -> ColumnElement[bool]:
    ends = col(ApiKeySecretRow.good_until)
    return or_(ends.is_(None), ends > now)


def is_good_key(now: datetime) -> ColumnElement[bool]:
    ends = col(ApiKeyRow.expires_at)
    return and_(col(ApiKeyRow.revoked_at).is_(None), or_(ends.is_(None), ends > now))
