"""The disk of the api is full: it answers what to do, goes on with what needs no room, and takes all up again."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.client import Client

from gamekeeper.db.engine import Database
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from tests.fixtures.api import make_api
from tests.gamekeeper.db.test_engine_errors import fill, small_disk
from tests.hang import HANG_SECONDS

__all__ = ["small_disk"]


async def test_a_full_disk(
    small_disk: Path, migrated_sqlite: Path, temporal_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shutil.copy(migrated_sqlite, small_disk / "gk.db")
    url = f"sqlite+aiosqlite:///{small_disk}/gk.db"
    database = Database(url)
    api = await make_api(database, url, temporal_client, small_disk)
    often = [replace(loop, period=0.02, slowest=0.05) for loop in api.process.loops]
    loops = [loop.start() for loop in often]
    for loop in loops:
        api.adopt(loop)
    await api.add_node()
    session = await api.process.presence.open("node-1", NodeFacts(), NodePolicy())
    heartbeats = next(loop.care for loop in often if loop.care.name == "heartbeats")
    filler = fill(small_disk)
    body = {"id": "node-2", "description": "x" * 2000}
    async with asyncio.timeout(HANG_SECONDS):
        while (refused := await api.http.post("/nodes", json=body)).status_code == 201:
            body["id"] += "x"  # there was room in what SQLite had allotted already
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (503, "disk_full")
    assert problem["hint"] == "free space there; it goes on by itself"
    assert (await api.http.get("/nodes/node-1")).status_code == 200
    ready = await api.anonymous.get("/readyz")
    assert ready.status_code == 503
    assert "is full" in ready.json()["parts"]["database"]
    assert "is full" in ready.json()["parts"]["log_store"]
    metrics = (await api.anonymous.get("/metrics")).text
    assert 'gamekeeper_part_up{part="database"} 0.0' in metrics
    assert 'gamekeeper_part_up{part="log_store"} 0.0' in metrics
    assert 'gamekeeper_part_up{part="temporal"} 1.0' in metrics
    async with asyncio.timeout(HANG_SECONDS):
        while heartbeats.failures < 20:
            api.process.presence.beat(session)
            await asyncio.sleep(0.01)
    filler.unlink()
    assert (await api.http.post("/nodes", json=body)).status_code == 201
    parts = (await api.anonymous.get("/readyz")).json()["parts"]
    assert [parts[name] for name in ("database", "temporal", "log_store")] == ["ok"] * 3
    assert [loop for loop in loops if loop.done()] == []
    waiting = [
        text.partition(" waits: ")[0] for record in caplog.records if " waits: " in (text := record.getMessage())
    ]
    assert "heartbeats" in waiting
    assert len(set(waiting)) == len(waiting), "an outage is told once"
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    await api.close()
    await api.process.link_server.stop(0)
    await database.close()


async def test_metrics_answer_without_the_database(
    tmp_path: Path, migrated_sqlite: Path, temporal_client: Client
) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "gk.db")
    url = f"sqlite+aiosqlite:///{tmp_path}/gk.db"
    database = Database(url)
    api = await make_api(database, url, temporal_client, tmp_path)
    for table in ("nodes", "alembic_version"):
        async with database.write() as session:
            await (await session.connection()).execute(text(f"ALTER TABLE {table} RENAME TO gone_{table}"))
    metrics = await api.anonymous.get("/metrics")
    assert metrics.status_code == 200
    assert 'gamekeeper_part_up{part="database"} 0.0' in metrics.text
    assert "gamekeeper_background_failures_total" in metrics.text
    await api.close()
    await api.process.link_server.stop(0)
    await database.close()
