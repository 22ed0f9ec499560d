"""A node can't fill the event log, nor wash away what others told of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count
from typing import Any

import pytest

from api.services import node_events
from api.services.node_events import NodeEvents
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import UnavailableError

KEEP = 200


async def told(database: Database, actor: str, node: str, events: int) -> None:
    async with database.write() as session:
        for number in range(events):
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
        ("n1", "system"): 5,
    }
    async with database.read() as session:
        rows, _ = await EventRepository(session).after(0, EventFilter(node="n1"), 5000)
    assert [row.data for row in rows if row.kind == EventKind.NODE_EVENTS_DROPPED] == [
        *[{"count": 70}] * 4,
        {"count": 20},
    ]
    assert [row.message for row in rows if row.actor == "agent:n1"] == [str(number) for number in range(300, 500)]


async def test_two_processes_that_drop_at_once_drop_once_and_tell_of_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_events, "PRUNE_BATCH", 30)
    await told(database, "agent:n1", "n1", 500)
    await asyncio.gather(*[NodeEvents(database, KEEP).prune() for _ in range(2)])
    assert (await kept(database))["n1", "agent:n1"] == KEEP
    assert await told_as_dropped(database) == 300


async def test_what_is_dropped_before_a_kill_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_events, "PRUNE_BATCH", 100)
    await told(database, "agent:n1", "n1", 500)
    prune, calls = EventRepository.prune_told, count()

    async def killed_at_the_second(*arguments: Any) -> int:
        if next(calls) == 1:
            raise UnavailableError("killed")
        return await prune(*arguments)

    monkeypatch.setattr(EventRepository, "prune_told", killed_at_the_second)
    service = NodeEvents(database, KEEP)
    with pytest.raises(UnavailableError):
        await service.prune()
    assert (await kept(database))["n1", "agent:n1"] == 400
    assert await told_as_dropped(database) == 100
    await service.prune()
    assert (await kept(database))["n1", "agent:n1"] == KEEP
    assert await told_as_dropped(database) == 300


async def told_as_dropped(database: Database) -> int:
    async with database.read() as session:
        rows, _ = await EventRepository(session).after(0, EventFilter(node="n1"), 5000)
    return sum(row.data["count"] for row in rows if row.kind == EventKind.NODE_EVENTS_DROPPED)


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
