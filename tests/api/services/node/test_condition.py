"""The reason of a condition is that of now, not that of the day when it was raised."""

from __future__ import annotations

import pytest

from api.services.node.condition import ConditionService
from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.node.condition import Vitals

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no matter of the database


@pytest.fixture
async def conditions(database: Database) -> ConditionService:
    async with database.write() as session:
        session.add(NodeRow(id="edge-1", name="edge-1"))
    return ConditionService(database)


async def told(database: Database) -> list[str]:
    async with database.read() as session:
        return [item["reason"] for item in (await NodeRepository(session).get("edge-1")).conditions]


async def test_a_clock_that_is_set_to_the_other_side_is_told_so(
    conditions: ConditionService, database: Database
) -> None:
    await conditions.observe("edge-1", Vitals(clock_offset_seconds=86_400.0))
    assert await told(database) == ["the node's clock is 86400.0 s ahead of the server's"]
    await conditions.observe("edge-1", Vitals(clock_offset_seconds=86_399.0))
    assert await told(database) == ["the node's clock is 86400.0 s ahead of the server's"], "numbers cost no write"
    await conditions.observe("edge-1", Vitals(clock_offset_seconds=-86_400.0))
    assert await told(database) == ["the node's clock is 86400.0 s behind the server's"]


async def test_a_node_that_was_outdated_before_certificates_is_told_what_to_do(
    conditions: ConditionService, database: Database
) -> None:
    await conditions.observe("edge-1", Vitals(agent_version="0.0.1", server_version="0.1.0"))
    async with database.write() as session:
        row = await NodeRepository(session).get("edge-1")
        row.key_hash, row.generation = "hash", 0
    await conditions.load()
    assert ["gamekeeper node enrol" in reason for reason in await told(database)] == [True]
