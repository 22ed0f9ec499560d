"""The directory of nodes: a change is seen within three seconds, a newer certificate at once, an outage not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow
from gamekeeper.db.node_directory import KNOWN_SECONDS, SqlNodeDirectory
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.node_directory import NodeDirectory
from tests.hang import HANG_SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def execute(database: Database, statement: str, **values: Any) -> None:
    async with database.write() as session:
        await (await session.connection()).execute(text(statement), values)


async def set_generation(database: Database, number: int) -> None:
    await execute(database, "UPDATE nodes SET generation = :number WHERE id = 'edge-1'", number=number)


@pytest.fixture
async def nodes(database: Database) -> Database:
    async with database.write() as session:
        session.add(NodeRow(id="edge-1", name="edge-1", key_hash="a" * 64, generation=4))
        session.add(NodeRow(id="never-joined", name="never-joined"))
    return database


async def test_a_change_is_seen_after_a_moment(nodes: Database) -> None:
    clock = Clock()
    directory: NodeDirectory = SqlNodeDirectory(nodes, clock)
    assert await directory.generation("edge-1") == 4
    await set_generation(nodes, 5)
    clock.now += KNOWN_SECONDS - 0.1
    assert await directory.generation("edge-1") == 4, "the last answer is kept for a moment"
    clock.now += 0.1
    assert await directory.generation("edge-1") == 5


async def test_a_certificate_that_is_newer_than_the_answer_is_looked_up_at_once(nodes: Database) -> None:
    clock = Clock()
    directory = SqlNodeDirectory(nodes, clock)
    assert await directory.generation("edge-1") == 4
    await set_generation(nodes, 5)
    assert await directory.generation("edge-1", at_least=5) == 4, "but not again and again"
    clock.now += 0.2
    assert await directory.generation("edge-1", at_least=5) == 5


async def test_no_generation_for_those_who_are_not_there(nodes: Database) -> None:
    directory = SqlNodeDirectory(nodes)
    assert await directory.generation("edge-2") is None
    assert await directory.generation("never-joined") is None


async def test_this_processs_own_change_is_seen_at_once(nodes: Database) -> None:
    directory = SqlNodeDirectory(nodes, Clock())
    assert await directory.generation("edge-1") == 4
    await execute(nodes, "DELETE FROM nodes WHERE id = 'edge-1'")
    directory.forget()
    assert await directory.generation("edge-1") is None


class LateAnswers(Database):
    """Gives its answers when it is told to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.answers = asyncio.Event()
        self.open = self.most_open = 0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        async with super().read() as session:
            self.open += 1
            self.most_open = max(self.open, self.most_open)
            yield session
            await self.answers.wait()
            self.open -= 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_answer_from_before_a_change_is_not_believed_after_it(nodes: Database, database_url: str) -> None:
    late = LateAnswers(database_url)
    directory = SqlNodeDirectory(late)
    before = asyncio.create_task(directory.generation("edge-1"))
    async with asyncio.timeout(HANG_SECONDS):
        while not late.open:
            await asyncio.sleep(0.01)
    await set_generation(nodes, 5)
    directory.forget()
    after = [asyncio.create_task(directory.generation("edge-1")) for _ in range(3)]
    await asyncio.sleep(0)
    late.answers.set()
    assert await asyncio.gather(*after) == [5, 5, 5]
    assert await before == 5
    assert late.most_open == 1, "one query goes on at a time"
    await late.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # where a table can be away like a database
async def test_the_last_answer_stands_while_the_database_is_away(nodes: Database) -> None:
    clock = Clock()
    directory, fresh = SqlNodeDirectory(nodes, clock), SqlNodeDirectory(nodes, clock)
    assert await directory.generation("edge-1") == 4
    await execute(nodes, "ALTER TABLE nodes RENAME TO gone_nodes")
    clock.now += 3600
    assert await directory.generation("edge-1") == 4
    with pytest.raises(UnavailableError):
        await fresh.generation("edge-1")
    await execute(nodes, "ALTER TABLE gone_nodes RENAME TO nodes")
    assert await fresh.generation("edge-1") == 4
