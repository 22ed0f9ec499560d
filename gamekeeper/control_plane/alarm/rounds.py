"""Rounds of judging, by one process at a time.

A round looks at everything without a lock, and writes nothing where nothing has changed. Where something has, it is
decided anew in one transaction: alarms, events, messages and the number of the last event that was looked at are
written together, or not at all. A process that was stopped in the middle, and comes back when another has taken its
place, writes nothing.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.alarm.config import read_rules
from gamekeeper.control_plane.alarm.facts import AlarmFacts
from gamekeeper.control_plane.alarm.happened import News, read_news
from gamekeeper.control_plane.alarm.metrics import AlarmMetrics
from gamekeeper.control_plane.alarm.round import Round
from gamekeeper.control_plane.alarm.scene import Observed, Scene, read_scene
from gamekeeper.control_plane.alarm.standing import ChangedError
from gamekeeper.control_plane.alarm.telling import Telling
from gamekeeper.control_plane.alarm.windows import changed_windows, keep_windows
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.alarm import AlarmRepository
from gamekeeper.db.repositories.channel import NotificationRepository
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.db.repositories.silence import SilenceRepository, WindowRepository
from gamekeeper.errors import ConflictError

LEASE = timedelta(seconds=15)
RENEWED = timedelta(seconds=5)
WHOLE = timedelta(seconds=2)  # between two looks at everything, where nothing has changed
SHARE = 10  # a look at everything takes this part of the time at most
SOONER = 4  # where an object has changed, it is looked at after this part of the pause
PRUNE = timedelta(minutes=10)
KEEP_ALARMS, KEEP_NOTIFICATIONS, KEEP_SILENCES = timedelta(days=90), timedelta(days=30), timedelta(days=7)


@dataclass(frozen=True)
class Hold:
    """``seq`` and ``number`` are the last event and round that are written."""

    seq: int
    number: int


class AlarmRounds:
    """``look`` is called every half second. ``looked_at`` is the time of the last whole round."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        holder: str = "",
    ) -> None:
        self._database = database
        self._now = now
        self._monotonic = monotonic
        self._holder = holder or f"{os.getpid()}-{secrets.token_hex(8)}"
        self._metrics = AlarmMetrics()
        self._until: datetime | None = None
        self._seen = 0
        self._whole_at: datetime | None = None
        self._pruned_at: datetime | None = None
        self._pause = WHOLE
        self._has_moved = False  # since the last whole round
        self._soon_at = now()
        self.looked_at: datetime | None = None

    @property
    def is_holder(self) -> bool:
        return self._until is not None and self._now() < self._until

    async def look(self) -> None:
        """A round, or none where this process is not the one, or nothing is due."""
        now = self._now()
        hold = await self._hold(now)
        if hold is None:
            return
        begun = self._monotonic()
        is_whole = self._whole_at is None or now >= self._whole_at
        async with self._database.read() as session:
            news = await self._news(session, hold)
            self._has_moved = self._has_moved or news.moves_nodes
            is_whole = is_whole or (self._has_moved and now >= self._soon_at)
            if not is_whole and not news.events:
                self._seen = news.seq
                return
            observed = await self._observe(session, news, now, is_whole=is_whole)
            has_work = is_whole and await changed_windows(session, now)
            scene = await read_scene(session, observed, now)
            session.expunge_all()
        if has_work or news.events or _has_changes(scene, now):
            await self._write(observed, news, hold, now)
        self._seen = news.seq
        if is_whole:
            self.looked_at = now
            self._pause = max(WHOLE, timedelta(seconds=SHARE * (self._monotonic() - begun)))
            self._whole_at, self._soon_at = now + self._pause, now + self._pause / SOONER
            self._has_moved = False
        if news.is_cut:
            await self.look()

    async def _hold(self, now: datetime) -> Hold | None:
        """None where another process has the rounds."""
        if self._until is None or self._until - now < LEASE - RENEWED:
            async with self._database.write() as session:
                alarms = AlarmRepository(session)
                if await alarms.round() is None:
                    await alarms.begin_rounds(await EventRepository(session).newest_seq(), self._holder, now + LEASE)
                took = await alarms.take_round(self._holder, now, now + LEASE, self._seen)
            if not took:
                self._until, self._whole_at = None, None
                return None
            self._until = now + LEASE
        async with self._database.read() as session:
            row = await AlarmRepository(session).round()
        if row is None or row.holder != self._holder:
            self._until = None
            return None
        return Hold(row.seq, row.rounds)

    async def _news(self, session: AsyncSession, hold: Hold) -> News:
        rules = await read_rules(session)
        kinds = frozenset().union(*(rule.events | rule.ends_with for rule in rules.values()))
        return await read_news(session, max(hold.seq, self._seen), kinds)

    async def _observe(self, session: AsyncSession, news: News, now: datetime, *, is_whole: bool) -> Observed:
        if not is_whole:
            return Observed(nodes=await AlarmFacts(session, self._metrics, now).nodes(), happened=news.events)
        facts, nodes = await AlarmFacts(session, self._metrics, now).all()
        return Observed(facts, nodes, news.events, is_whole=True)

    async def _write(self, observed: Observed, news: News, hold: Hold, now: datetime) -> None:
        """Decides once more by the rows as they are now, and writes all of it. Raises ConflictError where another
        process has taken the rounds over meanwhile."""
        async with self._database.write() as session:
            if not await AlarmRepository(session).end_round(self._holder, hold.number, news.seq, now):
                self._until = None
                raise ConflictError("another process judges the alarms now")
            if observed.is_whole:
                await keep_windows(session, now)
            scene = await read_scene(session, observed, now, is_locked=True)
            done = Round(scene, now)
            done.run()
            telling = Telling(scene, done, now)
            telling.run()
            await self._save(session, done, telling)
            await self._prune(session, now)

    async def _save(self, session: AsyncSession, done: Round, telling: Telling) -> None:
        alarms, notifications = AlarmRepository(session), NotificationRepository(session)
        dropped = {row.id for row in done.standing.dropped}
        alarms.add_all([row for row in done.standing.new if row.id not in dropped])
        await alarms.drop(dropped)
        for notification in telling.new:
            notifications.add(notification)
        for event in done.standing.events:
            record(session, event)

    async def _prune(self, session: AsyncSession, now: datetime) -> None:
        if self._pruned_at is not None and now - self._pruned_at < PRUNE:
            return
        self._pruned_at = now
        await AlarmRepository(session).prune(now - KEEP_ALARMS, 1000)
        await NotificationRepository(session).prune(now - KEEP_NOTIFICATIONS, 1000)
        await SilenceRepository(session).prune(now - KEEP_SILENCES)
        await WindowRepository(session).prune(now - KEEP_SILENCES)


def _has_changes(scene: Scene, now: datetime) -> bool:
    """A round whose outcome is thrown away."""
    tried = Round(scene, now, only_looks=True)
    try:
        tried.run()
    except ChangedError:
        return True
    telling = Telling(scene, tried, now)
    telling.run()
    return bool(tried.standing.changes or telling.changes)
