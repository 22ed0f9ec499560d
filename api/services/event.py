"""The event log for its readers: pages, and following without skipping or repeating.

Other processes write events too, so the newest are asked for while anybody follows: once for all followers, who are
woken only for events of their node and served from memory as long as they keep up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from gamekeeper.backoff import jittered
from gamekeeper.db.engine import Database
from gamekeeper.db.models import EventRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.event import EventFilter, EventRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

POLL_SECONDS = 0.2
BATCH = 500
TAIL = 5000
PRUNE_SECONDS = 600.0
PRUNE_BATCH = 5000

IsOver = Callable[[], Awaitable[bool]]


async def _never() -> bool:
    return False


@dataclass(frozen=True)
class EventBatch:
    """``lost_to`` is not 0 when events up to that number are no longer kept and the reader never had them."""

    rows: Sequence[EventRow]
    lost_to: int = 0


@dataclass(eq=False)
class _Follower:
    """``position`` is the number up to which everything wanted has been given."""

    wanted: EventFilter
    position: int
    news: asyncio.Event = field(default_factory=asyncio.Event)


class EventService:
    def __init__(self, database: Database, keep: timedelta) -> None:
        self._database = database
        self._keep = keep
        self._tail: deque[EventRow] = deque(maxlen=TAIL)
        self._newest = 0
        self._followers: dict[str, set[_Follower]] = {}
        self._poller: asyncio.Task[None] | None = None

    async def page(self, wanted: EventFilter, *, cursor: str | None, limit: int) -> Page[EventRow]:
        async with self._database.read() as session:
            return await EventRepository(session).page(wanted, cursor=cursor, limit=limit)

    async def newest_seq(self) -> int:
        async with self._database.read() as session:
            return await EventRepository(session).newest_seq()

    async def follow(self, after: int, wanted: EventFilter, is_over: IsOver = _never) -> AsyncIterator[EventBatch]:
        """Everything after ``after`` that is wanted, and what comes, until ``is_over`` says that no more can."""
        async with self._database.read() as session:
            oldest = await EventRepository(session).oldest_seq()
        if after and oldest > after + 1:
            yield EventBatch([], lost_to=oldest - 1)
        follower = await self._join(_Follower(wanted, after))
        try:
            while True:
                over = await is_over()  # asked before reading, or the last ones would be missed
                follower.news.clear()
                rows = await self._read(follower)
                if rows:
                    yield EventBatch(rows)
                elif over:
                    return
                else:
                    await follower.news.wait()
        finally:
            self._leave(follower)

    async def _read(self, follower: _Follower) -> list[EventRow]:
        """From memory when all that is missing is there, else from the database."""
        newest = self._newest
        if self._tail and (self._tail[0].seq or 0) <= follower.position + 1:
            rows = [row for row in self._tail if (row.seq or 0) > follower.position and follower.wanted.matches(row)]
            follower.position = max(follower.position, newest)
            return rows
        async with self._database.read() as session:
            rows = await EventRepository(session).after(follower.position, follower.wanted, BATCH)
        read_to = (rows[-1].seq or 0) if rows else 0
        follower.position = read_to if len(rows) == BATCH else max(follower.position, newest, read_to)
        return rows

    async def _join(self, follower: _Follower) -> _Follower:
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        self._followers.setdefault(follower.wanted.node, set()).add(follower)
        return follower

    def _leave(self, follower: _Follower) -> None:
        group = self._followers[follower.wanted.node]
        group.discard(follower)
        if not group:
            del self._followers[follower.wanted.node]
        if not self._followers and self._poller is not None:
            self._poller.cancel()
            self._poller = None
            self._tail.clear()

    async def _poll(self) -> None:
        self._tail.clear()
        self._newest = 0
        while True:
            try:
                await self._look()
            except GamekeeperError as error:
                log.warning("events wait: %s", error)
                await asyncio.sleep(jittered(1.0))
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        async with self._database.read() as session:
            events = EventRepository(session)
            if self._newest == 0:
                self._newest = await events.newest_seq()
                self._wake("")
                for node in list(self._followers):
                    self._wake(node)
                return
            rows = await events.after(self._newest, EventFilter(), BATCH)
        if not rows:
            return
        self._tail.extend(rows)
        self._newest = rows[-1].seq or self._newest
        for node in {row.node for row in rows} | {""}:
            self._wake(node)

    def _wake(self, node: str) -> None:
        for follower in self._followers.get(node, ()):
            follower.news.set()

    async def prune_forever(self) -> None:
        """Drops what is older than the log is kept, in small transactions."""
        while True:
            try:
                async with self._database.write() as session:
                    dropped = await EventRepository(session).prune(utc_now() - self._keep, PRUNE_BATCH)
            except GamekeeperError as error:
                log.warning("old events stay for now: %s", error)
                dropped = 0
            if dropped < PRUNE_BATCH:
                await asyncio.sleep(jittered(PRUNE_SECONDS))
