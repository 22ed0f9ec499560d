"""The event log for its readers: pages, and following without skipping or repeating.

Other processes write events too, so the newest are asked for while anybody follows: once for all followers, who are
woken only for events of their node and served from memory as long as they keep up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from gamekeeper.db.engine import Database
from gamekeeper.db.models import EventRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.sight import ALL_SEEING, Known, Sight
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.supervised import Supervised
from gamekeeper.uncancelled import uncancelled

POLL_SECONDS = 0.2
BATCH = 500  # of the one look for all followers
OWN_BATCH = 25  # of one that is behind: it holds them for as long as its reader takes none
PENDING = 5000
POLL_SLOWEST = 5.0
PRUNE_BATCH = 5000

IsOver = Callable[[], Coroutine[Any, Any, bool]]


async def _never() -> bool:
    return False


@dataclass(frozen=True)
class EventBatch:
    """``lost_to`` is not 0 when events up to that number are no longer kept and the reader never had them."""

    rows: Sequence[EventRow]
    lost_to: int = 0


@dataclass(eq=False)
class _Follower:
    """Everything wanted up to ``position`` has been given. Up to ``stored_to`` it is read from the database, the rest
    waits in ``pending``."""

    wanted: EventFilter
    sight: Sight
    position: int
    stored_to: int = 0
    pending: list[EventRow] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, row: EventRow, known: Known) -> bool:
        return self.wanted.matches(row) and (self.sight.is_everything or self.sight.shows(row, known))

    def push(self, row: EventRow, newest: int) -> None:
        """A follower that does not keep up goes back to the database, rather than filling the memory."""
        if len(self.pending) >= PENDING:
            self.pending.clear()
            self.stored_to = newest
        if (row.seq or 0) > max(self.stored_to, self.position):  # one that resumes may be ahead of the poller
            self.pending.append(row)
        self.news.set()


class EventService:
    def __init__(
        self,
        database: Database,
        keep: timedelta,
    ) -> None:
        self._database = database
        self.odd_rows = database.odd_rows
        self._keep = keep
        self.polling = Supervised("event_followers")
        self._newest = 0
        self._oldest = 0  # not known, or changed by pruning
        self._followers: dict[str, set[_Follower]] = {}
        self._poller: asyncio.Task[None] | None = None

    async def page(self, wanted: EventFilter, sight: Sight, *, cursor: str | None, limit: int) -> Page[EventRow]:
        async with self._database.read() as session:
            return await EventRepository(session).page(wanted, sight, cursor=cursor, limit=limit)

    async def whole(self, wanted: EventFilter, sight: Sight) -> AsyncGenerator[Sequence[EventRow], None]:
        """Every wanted event that there is now and that ``sight`` shows, oldest first, in batches."""
        position, newest = 0, await self.newest_seq()
        while position < newest:
            rows, seqs = await self._after(position, wanted, sight, BATCH, newest)
            yield rows
            position = seqs[-1] if len(seqs) == BATCH else newest

    async def newest_seq(self) -> int:
        async with self._database.read() as session:
            return await EventRepository(session).newest_seq()

    async def follow(
        self, after: int, wanted: EventFilter, sight: Sight = ALL_SEEING, is_over: IsOver = _never
    ) -> AsyncGenerator[EventBatch, None]:
        """Yields every wanted event after ``after`` that ``sight`` shows, then new ones, until ``is_over`` says that no
        more can come."""
        oldest = await uncancelled(self._oldest_seq())
        if after and oldest > after + 1:
            yield EventBatch([], lost_to=oldest - 1)
        follower = await self._join(_Follower(wanted, sight, after))
        try:
            while True:
                over = await uncancelled(is_over())  # asked before reading, or the last ones would be missed
                follower.news.clear()
                rows = await uncancelled(self._read(follower, stored_only=over))
                if rows:
                    yield EventBatch(rows)
                elif over:
                    return
                else:
                    await follower.news.wait()
        finally:
            self._leave(follower)

    async def _oldest_seq(self) -> int:
        if self._oldest == 0:
            async with self._database.read() as session:
                self._oldest = await EventRepository(session).oldest_seq()
        return self._oldest

    async def _read(self, follower: _Follower, *, stored_only: bool) -> Sequence[EventRow]:
        """The next wanted events. ``stored_only`` trusts the database alone, which is ahead of the poller."""
        if stored_only or follower.position < follower.stored_to:
            up_to = None if stored_only else follower.stored_to
            rows, seqs = await self._after(follower.position, follower.wanted, follower.sight, OWN_BATCH, up_to)
            more = len(seqs) == OWN_BATCH or (stored_only and seqs)
            follower.position = seqs[-1] if more else max(follower.position, follower.stored_to)
            if rows or stored_only:
                return rows
        pending, follower.pending = follower.pending, []
        follower.position = (pending[-1].seq or 0) if pending else follower.position
        return pending

    async def _join(self, follower: _Follower) -> _Follower:
        if self._newest == 0:
            found = await uncancelled(self.newest_seq())
            self._newest = self._newest or found  # somebody else may have been faster
        follower.stored_to = self._newest
        self._followers.setdefault(follower.wanted.node, set()).add(follower)
        if self._poller is None:
            self._poller = asyncio.create_task(self.polling.forever(self._poll, POLL_SECONDS, slowest=POLL_SLOWEST))
        return follower

    def _leave(self, follower: _Follower) -> None:
        group = self._followers[follower.wanted.node]
        group.discard(follower)
        if not group:
            del self._followers[follower.wanted.node]
        if not self._followers and self._poller is not None:
            self._poller.cancel()
            self._poller = None
            self._newest = 0

    async def _poll(self) -> None:
        await uncancelled(self._look())

    async def _look(self) -> None:
        rows, seqs = await self._after(self._newest, EventFilter(), ALL_SEEING, BATCH)
        known = await self._known(rows)
        self._newest = seqs[-1] if seqs else self._newest
        for row in rows:
            for node in {row.node, ""}:
                for follower in self._followers.get(node, ()):
                    if follower.wants(row, known):
                        follower.push(row, self._newest)

    async def _known(self, rows: Sequence[EventRow]) -> Known:
        """The objects of the events, read once for all followers that see but a part of them."""
        bounded = any(not each.sight.is_every_object for group in self._followers.values() for each in group)
        if not rows or not bounded:
            return Known()
        async with self._database.read() as session:
            return await TargetRepository(session).known(rows)

    async def _after(
        self, seq: int, wanted: EventFilter, sight: Sight, limit: int, up_to: int | None = None
    ) -> tuple[Sequence[EventRow], Sequence[int]]:
        """A batch of events, and the numbers that it covers."""
        async with self._database.read() as session:
            return await EventRepository(session).after(seq, wanted, limit, up_to, sight)

    async def prune(self) -> None:
        """Drops what is older than the log is kept, in small transactions."""
        dropped = PRUNE_BATCH
        while dropped == PRUNE_BATCH:
            async with self._database.write() as session:
                dropped = await EventRepository(session).prune(utc_now() - self._keep, PRUNE_BATCH)
            self._oldest = 0 if dropped else self._oldest
