"""Questions that are asked again and again look through no more rows than they are about."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.db.repositories.step_room import StepRoomRepository


@pytest.fixture
def asked(database: Database) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    event.listen(
        database._engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, values, *_: found.append((statement, values)),
    )
    return found


# PostgreSQL's plans hang on how many rows there are.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_steps_that_go_on_at_a_node_are_found_by_an_index(
    database: Database, asked: list[tuple[str, Any]]
) -> None:
    async with database.read() as session:
        await StepRoomRepository(session).waiting_runs("n1", 4)
        await RunRepository(session).count_begun(["n1"])
    queries = [(statement, values) for statement, values in asked if "FROM steps" in statement]
    assert len(queries) == 2
    async with database.read() as session:
        connection = await session.connection()
        for statement, values in queries:
            plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)).all()
            assert any("ix_steps_node_state (node_id=? AND state=?)" in str(row) for row in plan), plan
