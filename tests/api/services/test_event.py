"""The event log: one order, kept by concurrent writers, and followed without a gap or a repetition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest

from api.services import event as event_module
from api.services.event import EventBatch, EventService
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.domain.access.sight import ALL_SEEING
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.event.event_kind import EventKind
from tests.hang import HANG_SECONDS


@pytest.fixture
def events(database: Database) -> EventService:
    return EventService(database, timedelta(days=90))


async def write(database: Database, *kinds: str, node: str = "n1") -> None:
    async with database.write() as session:
        for kind in kinds:
            record(session, Event(kind=EventKind(kind), node=node))


async def take(stream: AsyncIterator[EventBatch], count: int) -> list[int]:
    """The numbers of the next ``count`` events."""
    found: list[int] = []
    async with asyncio.timeout(HANG_SECONDS):
        while len(found) < count:
            found += [row.seq or 0 for row in (await anext(stream)).rows]
    return found


async def test_an_event_is_kept_only_with_its_change(database: Database, events: EventService) -> None:
    async def fail() -> None:
        async with database.write() as session:
            record(session, Event(kind=EventKind.NODE_CREATED, node="lost"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await write(database, "node.created", "node.edited")
    rows = (await events.page(EventFilter(), ALL_SEEING, cursor=None, limit=10)).rows
    assert [row.kind for row in rows] == ["node.edited", "node.created"]
    assert rows[0].hlc > rows[1].hlc
    assert rows[0].actor == "system"


async def test_concurrent_writers_and_a_follower_that_comes_back(database: Database, events: EventService) -> None:
    async def writer(number: int) -> None:
        for _ in range(10):
            await write(database, "node.online", "node.offline", node=f"n{number}")

    writing = asyncio.gather(*[writer(number) for number in range(5)])
    seen: list[int] = []
    while len(seen) < 100:
        async with aclosing(events.follow(seen[-1] if seen else 0, EventFilter())) as stream:
            seen += await take(stream, min(17, 100 - len(seen)))
    await writing
    everything = [row.seq for row in (await events.page(EventFilter(), ALL_SEEING, cursor=None, limit=200)).rows]
    assert seen == sorted(set(seen)) == sorted(seq or 0 for seq in everything)


async def test_a_follower_sees_what_it_wants_and_what_comes(database: Database, events: EventService) -> None:
    await write(database, "node.online", node="a")
    stream = events.follow(0, EventFilter(kinds=("node.offline", "run"), node="a"))
    reading = asyncio.create_task(take(stream, 2))
    await write(database, "node.offline", node="b")
    await write(database, "node.offline", "node.online", node="a")
    async with database.write() as session:
        record(session, Event(kind=EventKind.RUN_QUEUED, node="a", run="r"))
    numbers = await reading
    rows = {row.seq: row for row in (await events.page(EventFilter(), ALL_SEEING, cursor=None, limit=10)).rows}
    assert [(rows[seq].node, rows[seq].kind) for seq in numbers] == [("a", "node.offline"), ("a", "run.queued")]


async def test_who_resumes_ahead_of_the_poller_gets_nothing_twice(database: Database, events: EventService) -> None:
    await write(database, "node.created")
    poller = events.follow(0, EventFilter())
    await take(poller, 1)
    await write(database, "node.edited", "node.edited")
    newest = await events.newest_seq()
    assert events._newest < newest  # or this test shows nothing
    stream = events.follow(newest, EventFilter())
    reading = asyncio.create_task(take(stream, 1))
    await asyncio.sleep(0)
    await write(database, "node.removed")
    assert await reading == [newest + 1]


async def test_a_slow_follower_loses_nothing(
    database: Database, events: EventService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_module, "PENDING", 5)
    monkeypatch.setattr(event_module, "BATCH", 7)
    monkeypatch.setattr(event_module, "OWN_BATCH", 7)
    await write(database, "node.created")
    stream = events.follow(0, EventFilter())
    seen = await take(stream, 1)
    for _ in range(6):
        await write(database, *["node.edited"] * 5)
    newest = await events.newest_seq()
    async with asyncio.timeout(HANG_SECONDS):
        while events._newest < newest:
            await asyncio.sleep(0.05)
    seen += await take(stream, 30)
    assert seen == list(range(seen[0], seen[0] + 31))


async def test_what_is_no_longer_kept_is_told(database: Database) -> None:
    events = EventService(database, timedelta(seconds=-1))
    await write(database, *["node.online"] * 5)
    async with database.write() as session:
        first = await EventRepository(session).oldest_seq()
    await events.prune()
    assert await events.newest_seq() == 0
    await write(database, "node.offline")
    batch = await anext(events.follow(first, EventFilter()))
    assert batch.lost_to == first + 4
    assert await events.newest_seq() == first + 5  # a number is never given again


async def test_it_ends_when_no_more_can_come(database: Database, events: EventService) -> None:
    await write(database, "run.queued", "run.succeeded")
    over = False

    async def is_over() -> bool:
        return over

    stream = events.follow(0, EventFilter(kinds=("run",)), is_over=is_over)
    assert len(await take(stream, 2)) == 2
    over = True
    await write(database, "run.failed")
    assert len(await take(stream, 1)) == 1
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(stream), HANG_SECONDS)
