"""Scopes in SQL say of a table what scopes in memory say of each row, on both databases."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sqlmodel import col, select

from gamekeeper.db.engine import Database
from gamekeeper.db.models import EventRow, InstanceRow, NodeRow, PipelineRow, RunRow
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.db.repositories.target import TargetRepository, target_of
from gamekeeper.db.scope import INSTANCES, within
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.grant import Grant
from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.sight import OF_PEOPLE, sight_of
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.event.event_filter import EventFilter

# Such as SQL is apt to take for something else.
KEYS = ["team", "a.b", 'q"uote', "back\\slash", "ключ", "😀", "[0]", "$", "", "a'b", "%", "TEAM", "new\nline"]
VALUES = ["blue", "Blue", "", "1", "true", "null", "синий", 'v"', "%", "_"]
IDS = ["eu-1", "eu-2", "EU-1", "eu", "eu_1", "eux1", "us-1", "a.b", "azb"]
HOLDERS = ["key:aa", "key:AA", "key:a", "user:aa", ""]
CASES = 60


def some_labels(chance: random.Random) -> dict[str, str]:
    return {chance.choice(KEYS): chance.choice(VALUES) for _ in range(chance.randrange(4))}


def some_selector(chance: random.Random, kind: ObjectKind | None) -> Selector:
    ids = [chance.choice([*IDS, "eu*", "eu-*", "E*", "a.*"]) for _ in range(chance.choice([0, 0, 1, 3]))]
    labels = some_labels(chance) if chance.random() < 0.6 else {}
    is_own = kind is ObjectKind.INSTANCE and chance.random() < 0.2
    return Selector(kind, tuple(ids), tuple(sorted(labels.items())), is_own)


def some_instance(chance: random.Random, id_: str) -> InstanceRow:
    return InstanceRow(id=id_, node_id="n", labels=some_labels(chance), owner=chance.choice(HOLDERS))


def some_access(chance: random.Random, kinds: Sequence[ObjectKind | None]) -> Access:
    chosen = [some_selector(chance, chance.choice(kinds)) for _ in range(chance.choice([0, 1, 2, 3, 12]))]
    verbs = [frozenset({Verb.SEE, *chance.choice([[], [], [Verb.ADMIN]])}) for _ in chosen]
    grants = tuple(Grant(verbs, selector) for verbs, selector in zip(verbs, chosen, strict=True))
    return Access(chance.choice(HOLDERS), grants)


def some_data(chance: random.Random) -> dict[str, object]:
    """As events have it: of pipelines, and of people."""
    users: list[dict[str, object]] = [{"user": "aa"}, {"key": "AA", "user": "aa"}, {"holder": "user:aa"}]
    keys: list[dict[str, object]] = [{"key": "aa"}, {"holder": "key:a"}]
    named: list[dict[str, object]] = [{"pipeline": chance.choice(IDS)}, {"pipeline": 3}, {"pipeline": None}]
    return chance.choice([{}, *users, *keys, *named])


async def test_sql_and_memory_agree_on_instances(database: Database) -> None:
    chance = random.Random(7)
    rows = [some_instance(chance, id_) for id_ in [*IDS, *(f"i{n}" for n in range(80))]]
    async with database.write() as session:
        session.add_all(rows)
    found = 0
    for _ in range(CASES):
        scope = some_access(chance, [ObjectKind.INSTANCE, None]).scope(Verb.SEE, ObjectKind.INSTANCE)
        async with database.read() as session:
            query = select(InstanceRow.id).where(within(scope, INSTANCES)).order_by(col(InstanceRow.id))
            by_sql = set((await session.exec(query)).all())
        in_memory = {row.id for row in rows if scope.covers(target_of(row))}
        assert by_sql == in_memory, scope
        found += len(in_memory) not in (0, len(rows))
    assert found > CASES // 4  # the cases tell something


async def test_sql_and_memory_agree_on_events(database: Database) -> None:
    """Also of what is gone: runs and nodes that events name, and that are not there."""
    chance = random.Random(8)
    async with database.write() as session:
        session.add_all([NodeRow(id=id_, name=id_, labels=some_labels(chance)) for id_ in IDS[:6]])
        session.add_all([some_instance(chance, id_) for id_ in IDS[:6]])
        session.add_all([RunRow(id=f"r{id_}", pipeline=id_, labels=some_labels(chance)) for id_ in IDS[:6]])
        session.add_all(
            [
                PipelineRow(name=id_, version=version, source="", labels=some_labels(chance))
                for id_ in IDS[:6]
                for version in (1, 2)
            ]
        )
        for _ in range(300):
            subjects = ["node", "pipeline", "schedule", "pipelines", *OF_PEOPLE, "signXin", "keys"]
            session.add(
                EventRow(
                    kind=f"{chance.choice(subjects)}.x",
                    node=chance.choice(["", "", *IDS]),
                    run=chance.choice(["", "", "", *[f"r{id_}" for id_ in IDS]]),
                    instance=chance.choice(["", "", "", *IDS]),
                    data=some_data(chance),
                )
            )
    kinds = [*ObjectKind, None]
    async with database.read() as session:
        events = list((await session.exec(select(EventRow))).all())
        known = await TargetRepository(session).known(events)
    found = 0
    for _ in range(CASES):
        sight = sight_of(some_access(chance, kinds))
        async with database.read() as session:
            rows, _ = await EventRepository(session).after(0, EventFilter(), 1000, sight=sight)
        in_memory = {event.seq for event in events if sight.shows(event, known)}
        assert {row.seq for row in rows} == in_memory, sight
        found += len(in_memory) not in (0, len(events))
    assert found > CASES // 4
