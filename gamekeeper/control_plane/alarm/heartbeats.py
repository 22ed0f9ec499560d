"""The dead man's switch: tells a watcher outside, again and again, that alarms are judged. Its silence is the alarm."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from gamekeeper.control_plane.alarm.config import spec_of
from gamekeeper.control_plane.alarm.outbox import SqlOutbox
from gamekeeper.control_plane.alarm.rounds import AlarmRounds
from gamekeeper.db.engine import Database
from gamekeeper.db.models import ChannelRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.alarm import AlarmRepository
from gamekeeper.db.repositories.channel import ChannelRepository
from gamekeeper.domain.alarm.channel import ChannelSpec, ChannelType, read_channel
from gamekeeper.domain.alarm.message import Message
from gamekeeper.domain.alarm.notice import NoticeKind
from gamekeeper.supervised import Supervised

STALE = timedelta(seconds=60)  # without a look at everything, all is not well


class Heartbeats:
    """``care`` counts what could not be sent. Only the process that judges alarms sends, and only while it does."""

    def __init__(
        self, database: Database, rounds: AlarmRounds, outbox: SqlOutbox, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._database = database
        self._rounds = rounds
        self._outbox = outbox
        self._now = now
        self._next: dict[str, datetime] = {}
        self.care = Supervised("heartbeats_out")

    async def look(self) -> None:
        now, looked_at = self._now(), self._rounds.looked_at
        if not self._rounds.is_holder or looked_at is None or now - looked_at > STALE:
            return
        for row, spec in await self._due(now):
            self._next[row.name] = now + read_channel(row.name, spec).every
            with self.care.row(f"channel {row.name}"):
                await self._outbox.beat(row, spec, await self._summary(now))

    async def _due(self, now: datetime) -> list[tuple[ChannelRow, ChannelSpec]]:
        async with self._database.read() as session:
            rows = await ChannelRepository(session).all()
        found = []
        for row in rows:
            with self.care.row(f"channel {row.name}"):
                spec = spec_of(row)
                is_due = self._next.get(row.name, now) <= now
                if spec.type is ChannelType.HEARTBEAT and spec.enabled and is_due:
                    found.append((row, spec))
        return found

    async def _summary(self, now: datetime) -> Message:
        async with self._database.read() as session:
            counts = await AlarmRepository(session).counts()
        told: dict[str, int] = {}
        for (severity, is_muted), number in counts.items():
            told["muted" if is_muted else severity] = told.get("muted" if is_muted else severity, 0) + number
        text = ", ".join(f"{number} {word}" for word, number in sorted(told.items())) or "no alarms"
        return Message(
            id=secrets.token_hex(16), kind=NoticeKind.TEST, at=now, title="Gamekeeper is up", text=text, counts=told
        )
