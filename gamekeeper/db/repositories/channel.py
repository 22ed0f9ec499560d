"""SQL of channels and of the notifications that go out by them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import ChannelRow, NotificationRow
from gamekeeper.db.readable import column, readable
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.errors import NotFoundError
from gamekeeper.ports.master_keys import WrappedKey

GATHERING, WAITING, SENT, FAILED = "gathering", "waiting", "sent", "failed"


class ChannelRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: ChannelRow) -> None:
        self._session.add(row)

    async def find(self, name: str) -> ChannelRow | None:
        return await self._session.get(ChannelRow, name)

    async def get(self, name: str) -> ChannelRow:
        """Raises NotFoundError."""
        row = await self.find(name)
        if row is None:
            raise NotFoundError(f'there is no channel "{name}"', hint="gamekeeper channel ls lists them")
        return row

    async def all(self) -> Sequence[ChannelRow]:
        query = select(ChannelRow).order_by(ChannelRow.name)
        return (await readable(self._session, query, column(ChannelRow.name)))[0]

    async def delete(self, row: ChannelRow) -> None:
        await self._session.exec(delete(NotificationRow).where(col(NotificationRow.channel) == row.name))
        await self._session.delete(row)

    async def key_ids(self) -> set[str]:
        """The master keys that some channel needs."""
        return set((await self._session.exec(select(ChannelRow.key_id).distinct())).all()) - {""}

    async def under_other_keys(self, key_id: str) -> Sequence[ChannelRow]:
        query = select(ChannelRow).where(ChannelRow.key_id != key_id, ChannelRow.key_id != "")
        return (await self._session.exec(query.order_by(ChannelRow.name))).all()

    async def rewrap(self, row: ChannelRow, wrapped: WrappedKey) -> None:
        row.key_id, row.wrapped_key = wrapped.key_id, wrapped.data


class NotificationRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, row: NotificationRow) -> None:
        self._session.add(row)

    async def find(self, notification_id: str) -> NotificationRow | None:
        return await self._session.get(NotificationRow, notification_id)

    async def page(self, channel: str, *, cursor: str | None, limit: int) -> Page[NotificationRow]:
        """Those of a channel, newest first."""
        made, key = col(NotificationRow.created_at), col(NotificationRow.id)
        query = select(NotificationRow).where(NotificationRow.channel == channel).order_by(made.desc(), key.desc())
        if cursor and (before := await self.find(decode_cursor(cursor))):
            at = before.created_at
            query = query.where(or_(made < at, (made == at) & (key < before.id)))
        return await read_page(self._session, query, column(NotificationRow.id), limit)

    async def of_late(self, after: datetime) -> dict[str, int]:
        """The number of single messages that each channel was given since then."""
        kinds = col(NotificationRow.kind).in_(("raised", "cleared", "escalated"))
        query = select(NotificationRow.channel, func.count()).where(col(NotificationRow.created_at) > after, kinds)
        return dict((await self._session.exec(query.group_by(col(NotificationRow.channel)))).all())

    async def gathering(self) -> dict[str, NotificationRow]:
        """The digest of each channel that still gathers."""
        query = select(NotificationRow).where(NotificationRow.state == GATHERING)
        rows, _ = await readable(self._session, query, column(NotificationRow.id))
        return {row.channel: row for row in rows}

    async def unstarted(self, limit: int) -> Sequence[NotificationRow]:
        query = select(NotificationRow).where(
            NotificationRow.state == WAITING, col(NotificationRow.started_workflow).is_(False)
        )
        in_order = query.order_by(col(NotificationRow.created_at)).limit(limit)
        return (await readable(self._session, in_order, column(NotificationRow.id)))[0]

    async def mark_started(self, notification_id: str) -> None:
        one = update(NotificationRow).where(col(NotificationRow.id) == notification_id)
        await self._session.exec(one.values(started_workflow=True))

    async def prune(self, before: datetime, limit: int) -> int:
        old = select(NotificationRow.id).where(col(NotificationRow.ended_at) < before).limit(limit)
        return int((await self._session.exec(delete(NotificationRow).where(col(NotificationRow.id).in_(old)))).rowcount)
