"""SQL of join keys and of the joins that machines made with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import JoinKeyRow, JoinRow, NodeRow
from gamekeeper.db.readable import column
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.domain.node.join import JoinState
from gamekeeper.errors import NotFoundError


class JoinRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: JoinKeyRow | JoinRow) -> None:
        self._session.add(row)

    async def delete(self, row: JoinRow) -> None:
        """At once, so that a row with the same id may take its place."""
        await self._session.delete(row)
        await self._session.flush()

    async def key_by_hash(self, key_hash: str) -> JoinKeyRow | None:
        return (await self._session.exec(select(JoinKeyRow).where(JoinKeyRow.key_hash == key_hash))).first()

    async def locked_key_by_hash(self, key_hash: str) -> JoinKeyRow | None:
        """The key, which nobody else joins by or changes until this transaction ends."""
        query = select(JoinKeyRow).where(JoinKeyRow.key_hash == key_hash).with_for_update()
        return (await self._session.exec(query)).first()

    async def locked_key(self, key_id: str) -> JoinKeyRow:
        """As above, by its id. Raises NotFoundError."""
        query = select(JoinKeyRow).where(JoinKeyRow.id == key_id).with_for_update()
        row = (await self._session.exec(query)).first()
        if row is None:
            raise _no_key(key_id)
        return row

    async def get_key(self, key_id: str) -> JoinKeyRow:
        row = await self._session.get(JoinKeyRow, key_id)
        if row is None:
            raise _no_key(key_id)
        return row

    async def page_keys(self, *, cursor: str | None, limit: int) -> Page[JoinKeyRow]:
        query = select(JoinKeyRow).order_by(JoinKeyRow.id)
        if cursor:
            query = query.where(col(JoinKeyRow.id) > decode_cursor(cursor))
        return await read_page(self._session, query, column(JoinKeyRow.id), limit)

    async def give_back(self, key_id: str) -> None:
        """One use of the key is free again."""
        used = update(JoinKeyRow).where(col(JoinKeyRow.id) == key_id, col(JoinKeyRow.uses) > 0)
        await self._session.exec(used.values(uses=JoinKeyRow.uses - 1))

    async def keys_expired_before(self, time: datetime) -> list[str]:
        return list((await self._session.exec(select(JoinKeyRow.id).where(JoinKeyRow.expires_at < time))).all())

    async def delete_keys(self, key_ids: Sequence[str]) -> None:
        """Deletes keys, and their joins with them."""
        await self._session.exec(delete(JoinKeyRow).where(col(JoinKeyRow.id).in_(key_ids)))

    async def find(self, join_id: str) -> JoinRow | None:
        return await self._session.get(JoinRow, join_id)

    async def locked(self, join_id: str) -> tuple[JoinRow, JoinKeyRow]:
        """A join and its key, which nobody else changes until this transaction ends. Raises NotFoundError."""
        key_id = (await self._session.exec(select(JoinRow.key_id).where(JoinRow.id == join_id))).first()
        if key_id is None:
            raise _no_join(join_id)
        key = await self.locked_key(key_id)
        row = await self.find(join_id)
        if row is None or row.key_id != key_id:
            raise _no_join(join_id)
        return row, key

    async def page(self, *, state: str | None, cursor: str | None, limit: int) -> Page[JoinRow]:
        query = select(JoinRow).order_by(JoinRow.id)
        if state:
            query = query.where(JoinRow.state == state)
        if cursor:
            query = query.where(col(JoinRow.id) > decode_cursor(cursor))
        return await read_page(self._session, query, column(JoinRow.id), limit)

    async def of_key(self, key_id: str, *states: JoinState) -> list[JoinRow]:
        query = select(JoinRow).where(JoinRow.key_id == key_id, col(JoinRow.state).in_([item.value for item in states]))
        return list((await self._session.exec(query)).all())

    async def count_undone(self, key_id: str) -> int:
        """Machines that brought the key and are no node, whatever an operator said of them."""
        query = select(func.count()).where(col(JoinRow.key_id) == key_id, col(JoinRow.state) != JoinState.JOINED.value)
        return (await self._session.exec(query)).one()

    async def ids_of_keys_with_joins(self, ended_before: datetime | None = None) -> list[str]:
        """In their order: whoever locks several keys takes them in it."""
        query = select(JoinRow.key_id).distinct().order_by(JoinRow.key_id)
        if ended_before is not None:
            query = query.where(JoinRow.expires_at < ended_before)
        return list((await self._session.exec(query)).all())

    async def old_joins(self, key_id: str, now: datetime) -> list[JoinRow]:
        query = select(JoinRow).where(JoinRow.key_id == key_id, JoinRow.expires_at < now)
        return list((await self._session.exec(query)).all())

    async def taken_ids(self, beginning: str) -> set[str]:
        """Ids that nodes have, and those that waiting machines are to have, which begin so."""
        nodes = select(NodeRow.id).where(col(NodeRow.id).startswith(beginning, autoescape=True))
        waiting = select(JoinRow.node_id).where(
            col(JoinRow.node_id).startswith(beginning, autoescape=True), JoinRow.state == JoinState.WAITING.value
        )
        found: Sequence[str] = [*(await self._session.exec(nodes)).all(), *(await self._session.exec(waiting)).all()]
        return set(found)


def _no_key(key_id: str) -> NotFoundError:
    return NotFoundError(f'there is no join key "{key_id}"', hint="gamekeeper join-key ls lists them")


def _no_join(join_id: str) -> NotFoundError:
    return NotFoundError(f'there is no join "{join_id}"', hint="gamekeeper joins ls lists them")
