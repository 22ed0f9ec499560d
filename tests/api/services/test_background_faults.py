"""The api's background tasks against a database that fails, and against rows that nobody foresaw.

A table that has another name for a while is a database that fails: SQLite says so as what passes, PostgreSQL as what
nobody expected, and no task may end for either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel

from api.services.event import EventService
from api.services.node.condition import ConditionService
from api.services.node.metric import MINUTE, RAW, MetricService, node_subject
from api.services.node.presence import Lease, Presence
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import NodeRow
from gamekeeper.db.repositories.metric import MetricRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.condition import Vitals
from gamekeeper.domain.node.metric import NODE_METRICS, Retention, Sample, ordered
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.supervised import Supervised
from tests.hang import HANG_SECONDS

_FROM_THE_FIRST = {column.name: column.name for column in SQLModel.metadata.tables["events"].columns}
_ODD = _FROM_THE_FIRST | {"seq": "4", "data": "'{'"}
AN_ODD_EVENT = f"INSERT INTO events ({', '.join(_ODD)}) SELECT {', '.join(_ODD.values())} FROM events WHERE seq = 1"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL checks JSON itself


async def execute(database: Database, statement: str) -> None:
    async with database.write() as session:
        await (await session.connection()).execute(text(statement))


@asynccontextmanager
async def without(database: Database, table: str) -> AsyncIterator[None]:
    await execute(database, f"ALTER TABLE {table} RENAME TO gone")
    yield
    await execute(database, f"ALTER TABLE gone RENAME TO {table}")


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not what():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def supervised(work: Callable[[], Awaitable[None]]) -> AsyncIterator[Supervised]:
    care = Supervised("care")
    running = asyncio.create_task(care.forever(work, 0.005, slowest=0.01))
    yield care
    assert not running.done()
    running.cancel()


async def add_nodes(database: Database, *names: str) -> None:
    async with database.write() as session:
        session.add_all([NodeRow(id=name, name=name) for name in names])


async def ignore(_: str) -> None:
    return None


async def statuses(database: Database) -> dict[str, str]:
    async with database.read() as session:
        return await NodeRepository(session).statuses()


async def test_the_watch_over_nodes_goes_on(database: Database) -> None:
    await add_nodes(database, "n")
    presence = Presence(database, Lease(10, 50), ignore)
    await presence.open("n", NodeFacts(), NodePolicy())
    async with supervised(presence.watch) as care:
        async with without(database, "nodes"):
            await until(lambda: care.failures > 2)
        async with asyncio.timeout(HANG_SECONDS):
            while await statuses(database) != {"n": "offline"}:
                await asyncio.sleep(0.01)


@on_sqlite
async def test_an_odd_node_row_hides_no_other_node(database: Database) -> None:
    await add_nodes(database, "a", "odd", "z")
    presence = Presence(database, Lease(10, 50), ignore)
    for name in ("a", "odd", "z"):
        await presence.open(name, NodeFacts(), NodePolicy())
    await execute(database, "UPDATE nodes SET labels = '{' WHERE id = 'odd'")
    opened = await asyncio.gather(
        *[presence.open(name, NodeFacts(), NodePolicy()) for name in ("a", "odd", "z")], return_exceptions=True
    )
    assert [isinstance(session, Exception) for session in opened] == [False, True, False]
    await asyncio.sleep(0.1)  # longer than the lease
    await presence.watch()
    assert set((await statuses(database)).values()) == {"offline"}
    again = Presence(database, Lease(10, 50), ignore)
    await again.load()


async def test_a_condition_of_a_newer_version_is_left_out(database: Database) -> None:
    await add_nodes(database, "n")
    await execute(database, """UPDATE nodes SET conditions = '[{"type": "NotYetKnown", "reason": "x"}]'""")
    conditions = ConditionService(database)
    await conditions.load()
    await conditions.observe("n", Vitals(docker_error="dead"))
    async with database.read() as session:
        stored = (await NodeRepository(session).get("n")).conditions
    assert [item["type"] for item in stored] == ["DockerUnresponsive"]


async def test_samples_wait_until_the_database_takes_them(database: Database) -> None:
    metrics = MetricService(database, Retention())
    async with supervised(metrics.save) as care:
        async with without(database, "metrics"):
            metrics.accept(node_subject("n"), Sample(60.0, ordered(NODE_METRICS, {"cpu_percent": 1.0})))
            await until(lambda: care.failures > 2)
        async with asyncio.timeout(HANG_SECONDS):
            while not await _samples(database, RAW):
                await asyncio.sleep(0.01)


async def _samples(database: Database, resolution: int) -> list[str]:
    async with database.read() as session:
        return [subject for subject, *_ in await MetricRepository(session).between(resolution, 0, 10**9)]


async def test_a_torn_sample_holds_up_no_sum(database: Database) -> None:
    metrics = MetricService(database, Retention(raw=10**9, minutes=10**9, hours=10**9))
    metrics.accept(node_subject("n"), Sample(60.0, ordered(NODE_METRICS, {"cpu_percent": 1.0})))
    await metrics.save()
    async with database.write() as session:
        await MetricRepository(session).add([{"subject": "torn", "resolution": RAW, "at": 61, "data": b"abc"}])
    await metrics.roll_up(1000.0)
    assert await _samples(database, MINUTE) == [node_subject("n")]


async def test_pruning_goes_on(database: Database) -> None:
    events = EventService(database, timedelta(seconds=-1))
    await tell(database, 1)
    async with supervised(events.prune) as care:
        async with without(database, "events"):
            await until(lambda: care.failures > 2)
        async with asyncio.timeout(HANG_SECONDS):
            while await events.newest_seq():
                await asyncio.sleep(0.01)


async def tell(database: Database, count: int) -> None:
    async with database.write() as session:
        for _ in range(count):
            record(session, Event(kind=EventKind.NODE_EDITED, node="n"))


async def test_followers_of_events_outlive_the_database(database: Database) -> None:
    events = EventService(database, timedelta(days=1))
    await tell(database, 1)
    async with aclosing(events.follow(0, EventFilter())) as stream:
        assert len((await anext(stream)).rows) == 1
        coming = asyncio.create_task(anext(stream))
        await until(lambda: events.polling.age > 0)
        async with without(database, "events"):
            await until(lambda: events.polling.failures > 1)
        await tell(database, 1)
        assert len((await asyncio.wait_for(coming, HANG_SECONDS)).rows) == 1


@on_sqlite
async def test_an_odd_event_is_left_out(database: Database) -> None:
    events = EventService(database, timedelta(days=1))
    await tell(database, 3)
    await execute(database, "UPDATE events SET data = '{' WHERE seq = 2")
    async with aclosing(events.follow(0, EventFilter())) as stream:
        assert [row.seq for row in (await anext(stream)).rows] == [1, 3]
        coming = asyncio.create_task(anext(stream))
        await until(lambda: events.polling.age > 0)
        await execute(database, AN_ODD_EVENT)
        await tell(database, 1)
        assert [row.seq for row in (await asyncio.wait_for(coming, HANG_SECONDS)).rows] == [5]
    assert database.odd_rows.failures >= 2
