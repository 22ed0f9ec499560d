"""The outbox: sends a notification, and notes each try in its row, which is the log of deliveries as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from gamekeeper.control_plane.alarm.channel_secret import open_channel
from gamekeeper.control_plane.alarm.config import spec_of
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import ChannelRow, NotificationRow
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.db.repositories.channel import FAILED, SENT, WAITING, ChannelRepository, NotificationRepository
from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec
from gamekeeper.domain.alarm.link import LINK_LIFETIME, AlarmLink, LinkPurpose, make_token
from gamekeeper.domain.alarm.message import AlarmInWords, Message, message, templated
from gamekeeper.domain.alarm.notice import NoticeKind
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import GamekeeperError, MessageRefusedError
from gamekeeper.ports.master_keys import MasterKeys
from gamekeeper.ports.notifier import Sender

KEPT_TRIES = 20
MAX_WORDS = 300


class AlarmLinks:
    """Links to this control plane; none where nobody has said at which address people reach it."""

    def __init__(self, key: bytes, base: str) -> None:
        self._key = key
        self._base = base.rstrip("/")

    def of(self, alarm: str, channel: str, now: datetime) -> dict[str, str]:
        if not self._base:
            return {}
        links = {}
        for purpose in LinkPurpose:
            token = make_token(self._key, AlarmLink(alarm, purpose, channel, now + LINK_LIFETIME))
            links[purpose.value] = f"{self._base}/api/v1/alarm-links/{token}"
        return links


class SqlOutbox:
    def __init__(
        self,
        database: Database,
        keys: MasterKeys,
        sender: Sender,
        links: AlarmLinks,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._keys = keys
        self._sender = sender
        self._links = links
        self._now = now

    async def deliver(self, notification_id: str) -> None:
        """As ``Outbox`` says it."""
        async with self._database.read() as session:
            row = await NotificationRepository(session).find(notification_id)
            channel = None if row is None else await ChannelRepository(session).find(row.channel)
        if row is None or channel is None or row.state != WAITING:
            return
        begun = time.monotonic()
        try:
            spec, secret = spec_of(channel), await open_channel(self._keys, channel)
            answer = await self._sender.send(spec, secret, self.message_of(row, spec))
        except (GamekeeperError, ValueError) as error:
            words = _words(error)
            await self._note(row.id, words, begun, is_sent=False)
            if isinstance(error, MessageRefusedError | ValueError):
                raise MessageRefusedError(words) from error
            raise
        await self._note(row.id, answer, begun, is_sent=True)

    async def give_up(self, notification_id: str, reason: str) -> None:
        """As ``Outbox`` says it."""
        async with self._database.write() as session:
            row = await NotificationRepository(session).find(notification_id)
            if row is None or row.state != WAITING:
                return
            row.state, row.ended_at, row.last_error = FAILED, self._now(), storable(reason)[:MAX_WORDS]
            message = f"{row.channel}: {row.last_error}"
            data = {"channel": row.channel, "notification": row.id}
            record(session, Event(kind=EventKind.ALARM_CHANNEL_FAILED, message=message, data=data))

    async def beat(self, channel: ChannelRow, spec: ChannelSpec, found: Message) -> None:
        """Sends one heartbeat, of which nothing is kept but its time. Raises as ``Sender`` does."""
        secret: ChannelSecret = await open_channel(self._keys, channel)
        words = ""
        try:
            await self._sender.send(spec, secret, found)
        except GamekeeperError as error:
            words = _words(error)
            raise
        finally:
            async with self._database.write() as session:
                row = await ChannelRepository(session).find(channel.name)
                if row is not None:
                    row.last_error = words
                    row.last_sent_at = row.last_sent_at if words else self._now()

    def message_of(self, row: NotificationRow, spec: ChannelSpec) -> Message:
        """The same at each try. Its links are for the first alarm: others have their own messages."""
        alarms = [AlarmInWords.model_validate(item) for item in row.content.get("alarms", ())]
        kind = NoticeKind(row.kind)
        made = message(row.id, kind, row.created_at, alarms, row.content.get("total", {}))
        if alarms and kind in (NoticeKind.RAISED, NoticeKind.ESCALATED):
            made = made.model_copy(update={"links": self._links.of(alarms[0].id, row.channel, row.created_at)})
        return templated(made, spec.template)

    async def _note(self, notification_id: str, words: str, begun: float, *, is_sent: bool) -> None:
        now, took = self._now(), round((time.monotonic() - begun) * 1000)
        async with self._database.write() as session:
            row = await NotificationRepository(session).find(notification_id)
            if row is None or row.state != WAITING:
                return
            row.attempts += 1
            outcome = storable(words)[:MAX_WORDS]
            row.log = [*row.log, {"at": now.isoformat(), "outcome": outcome, "ms": took, "sent": is_sent}][-KEPT_TRIES:]
            row.last_error = "" if is_sent else outcome
            channel = await ChannelRepository(session).find(row.channel)
            if is_sent:
                row.state, row.ended_at = SENT, now
            if channel is not None:
                channel.last_error = row.last_error
                channel.last_sent_at = now if is_sent else channel.last_sent_at


def _words(error: Exception) -> str:
    return (str(error) if isinstance(error, GamekeeperError) else f"it can't be read: {error}")[:MAX_WORDS]
