"""A node can't fill the event log, nor wash away what others told of it."""

from __future__ import annotations

from collections import Counter

import pytest

from api.services import node_events
from api.services.node_events import NodeEvents
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.event.event_kind import EventKind

KEEP = 200


async def told(database: Database, actor: str, node: str, count: int) -> None:
    async with database.write() as session:
        for number in range(count):
            event = Event(kind=EventKind.NODE_CONDITION_RAISED, node=node, actor=actor, message=str(number))
            record(session, event)


async def kept(database: Database) -> Counter[tuple[str, str]]:
    async with database.read() as session:
        rows, _seqs = await EventRepository(session).after(0, EventFilter(), 5000)
    return Counter((row.node, row.actor) for row in rows)


async def test_the_oldest_of_what_a_node_told_go_and_nothing_else(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_events, "PRUNE_BATCH", 70)
    service = NodeEvents(database, KEEP)
    await told(database, "key:admin", "n1", 5)
    await told(database, "agent:n1", "n1", 500)
    await told(database, "agent:n2", "n2", 150)
    await told(database, "key:admin", "n1", 5)
    for _ in range(2):
        await service.prune()
    assert await kept(database) == {
        ("n1", "key:admin"): 10,
        ("n1", "agent:n1"): KEEP,
        ("n2", "agent:n2"): 150,
        ("n1", "system"): 1,
    }
    async with database.read() as session:
        rows, _ = await EventRepository(session).after(0, EventFilter(node="n1"), 5000)
    assert rows[-1].kind == EventKind.NODE_EVENTS_DROPPED
    assert rows[-1].data == {"count": 300}
    assert [row.message for row in rows if row.actor == "agent:n1"] == [str(number) for number in range(300, 500)]


async def test_a_node_that_tells_little_costs_no_question(database: Database) -> None:
    service = NodeEvents(database, KEEP)
    await told(database, "agent:n1", "n1", 500)
    await service.prune()
    await told(database, "agent:n1", "n1", KEEP // 20)
    await service.prune()
    assert (await kept(database))["n1", "agent:n1"] == KEEP + KEEP // 20
    await told(database, "agent:n1", "n1", 1)
    await service.prune()
    assert (await kept(database))["n1", "agent:n1"] == KEEP
