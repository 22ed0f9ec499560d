"""Channels as their owners see and change them. An address and a key go in, are sealed, and are never shown."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from gamekeeper.actor import current_actor
from gamekeeper.control_plane.alarm.channel_secret import open_channel, seal_channel
from gamekeeper.control_plane.alarm.config import spec_of
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import ChannelRow, NotificationRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.channel import ChannelRepository, NotificationRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.domain.alarm.channel import (
    MAX_CHANNELS,
    ChannelSecret,
    ChannelSpec,
    ChannelType,
    check_spec,
    check_url,
    shown_address,
)
from gamekeeper.domain.alarm.notice import NoticeKind
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, InvalidError, PreconditionError
from gamekeeper.ports.master_keys import MasterKeys

KEY_PREFIX = "whsec_"


@dataclass(frozen=True)
class SetChannel:
    """``new_key`` is the key that signs a webhook's messages, where it was just made: it is shown this once."""

    row: ChannelRow
    is_new: bool
    new_key: str = ""


class ChannelService:
    def __init__(self, database: Database, keys: MasterKeys) -> None:
        self._database = database
        self._keys = keys
        self.odd_rows = database.odd_rows

    async def list_all(self) -> Sequence[ChannelRow]:
        async with self._database.read() as session:
            return await ChannelRepository(session).all()

    async def get(self, name: str) -> ChannelRow:
        """Raises NotFoundError."""
        async with self._database.read() as session:
            return await ChannelRepository(session).get(name)

    async def set(
        self, name: str, spec: ChannelSpec, url: str | None, if_match: int | None, *, new_key: bool = False
    ) -> SetChannel:
        """Makes a channel, or changes it; ``url`` None leaves its address as it is. Raises InvalidError for parts that
        don't go together, PreconditionError, and ConflictError for too many, and for a key file that is lost."""
        check_spec(spec)
        if url is not None:
            check_url(spec, url)
        async with self._database.write() as session:
            channels = ChannelRepository(session)
            row = await channels.find(name)
            is_new = row is None
            if row is None:
                row = await self._new(channels, name, spec, url, if_match)
            else:
                _match(row, if_match)
                _check_type(row, spec, url)
                row.version += 1
            key = await self._seal(channels, row, spec, url, makes_key=new_key or is_new)
            fields = spec.model_dump(mode="json", exclude_defaults=True)
            row.spec, row.updated_by, row.updated_at = spec.model_dump(mode="json"), current_actor(), utc_now()
            data = {"channel": name, "fields": fields, "address": row.address, "has_new_key": bool(key)}
            record(session, Event(kind=EventKind.ALARM_CHANNEL_SET, message=name, data=data))
        return SetChannel(row, is_new, key)

    async def remove(self, name: str, if_match: int | None) -> None:
        """With the log of its deliveries, and what waits to be sent. Raises NotFoundError, PreconditionError."""
        async with self._database.write() as session:
            channels = ChannelRepository(session)
            row = await channels.get(name)
            _match(row, if_match)
            await channels.delete(row)
            record(session, Event(kind=EventKind.ALARM_CHANNEL_REMOVED, message=name, data={"channel": name}))

    async def test(self, name: str) -> NotificationRow:
        """Puts a message into the outbox that goes by the way of all others. Raises NotFoundError, ConflictError."""
        async with self._database.write() as session:
            row = await ChannelRepository(session).get(name)
            if spec_of(row).type is ChannelType.HEARTBEAT:
                raise ConflictError("a heartbeat sends by itself", hint=f"gamekeeper channel show {name} has its last")
            made = NotificationRow(channel=name, kind=NoticeKind.TEST.value)
            NotificationRepository(session).add(made)
        return made

    async def deliveries(self, name: str, *, cursor: str | None, limit: int) -> Page[NotificationRow]:
        """Newest first. Raises NotFoundError."""
        async with self._database.read() as session:
            await ChannelRepository(session).get(name)
            return await NotificationRepository(session).page(name, cursor=cursor, limit=limit)

    async def _new(
        self, channels: ChannelRepository, name: str, spec: ChannelSpec, url: str | None, if_match: int | None
    ) -> ChannelRow:
        if url is None:
            raise InvalidError(f'a new channel of type {spec.type} needs "url"', code="channel_url")
        if if_match is not None:
            raise PreconditionError(f'there is no channel "{name}" yet', hint="leave If-Match out")
        if len(await channels.all()) >= MAX_CHANNELS:
            raise ConflictError(f"there are {MAX_CHANNELS} channels already", hint="remove one that nobody reads")
        row = ChannelRow(name=name)
        channels.add(row)
        return row

    async def _seal(
        self, channels: ChannelRepository, row: ChannelRow, spec: ChannelSpec, url: str | None, *, makes_key: bool
    ) -> str:
        """A key that was made; empty for none."""
        is_signed = spec.type in (ChannelType.WEBHOOK, ChannelType.HEARTBEAT)
        key = KEY_PREFIX + secrets.token_urlsafe(32) if makes_key and is_signed else ""
        if url is None and not key:
            return ""
        await self._keys.ensure(await channels.key_ids())
        before = await open_channel(self._keys, row) if row.data else ChannelSecret(url="")
        secret = ChannelSecret(url=url or before.url, key=key or before.key)
        await seal_channel(self._keys, row, secret)
        row.address = shown_address(spec, secret.url)
        return key


def _check_type(row: ChannelRow, spec: ChannelSpec, url: str | None) -> None:
    if url is None and spec_of(row).type is not spec.type:
        raise InvalidError(f'the channel "{row.name}" gets another type, so it needs a new "url"', code="channel_url")


def _match(row: ChannelRow, if_match: int | None) -> None:
    if if_match is not None and if_match != row.version:
        raise PreconditionError(
            f'the channel "{row.name}" is at version {row.version}, not {if_match}: somebody changed it',
            hint="read it again, then repeat",
        )
