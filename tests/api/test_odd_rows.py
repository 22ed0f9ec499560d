"""Runs that nobody can deal with, and a database that is away, hold up no other run."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from api.services.node import node_signals
from api.services.node.node_signals import NodeSignals
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.errors import UnavailableError
from tests.api.rest.test_run import start, step
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS
from tests.told import told


async def away(*_: object) -> None:
    raise UnavailableError("Temporal does not answer")


async def execute(api: ApiUnderTest, statement: str) -> None:
    async with api.database.write() as session:
        await (await session.connection()).execute(text(statement))


async def test_an_odd_run_holds_up_no_other(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    await start(api)
    with monkeypatch.context() as patch:
        patch.setattr(api.process.services.dispatcher, "start", away)
        made = [await api.submit(step("a")) for _ in range(3)]
    odd, *others = sorted(run["id"] for run in made)
    await execute(api, f"""UPDATE runs SET resolved = '{{"steps": 1}}' WHERE id = '{odd}'""")
    monkeypatch.setattr("api.services.run.reconcile.SETTLE", timedelta(0))
    for _ in range(2):
        await api.process.reconciler.reconcile()
    for run_id in others:
        await api.until_run(run_id, "succeeded")
    assert api.process.reconciler.care.failures == 2
    metrics = (await api.anonymous.get("/metrics")).text
    assert 'gamekeeper_background_failures_total{task="reconciler"} 2.0' in metrics
    assert 'gamekeeper_background_success_age_seconds{task="presence"}' in metrics


@pytest.mark.parametrize("size", [3_000_000, 5_000_000])  # over the limit of a payload, and over that of a message
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_run_that_temporal_refuses_ends(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    await api.add_node()
    with monkeypatch.context() as patch:
        patch.setattr(api.process.services.dispatcher, "start", away)
        made = await api.submit(step("a"))
    statuses = [
        {
            "name": "a",
            "state": "succeeded",
            "outputs": {"text": "x" * size},
            "node": "node-1",
            "type": "job",
            "position": 0,
        }
    ]
    async with api.database.write() as session:
        row = await RunRepository(session).find_whole(made["id"])
        assert row is not None
        row.carried = statuses
    monkeypatch.setattr("api.services.run.reconcile.SETTLE", timedelta(0))
    caplog.clear()
    for _ in range(2):
        await api.process.reconciler.reconcile()
    ended = (await api.http.get(f"/runs/{made['id']}")).json()
    assert (ended["state"], ended["reason"]) == ("failed", "internal")
    assert ended["message"].startswith("Temporal refuses the run: ")
    assert [(item["state"], item["message"]) for item in ended["steps"]] == [("error", "the run could not be started")]
    assert api.process.reconciler.care.failures == 0
    assert told(caplog) == []


async def test_signals_of_a_node_outlive_the_database(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_signals, "FIRST_WAIT_SECONDS", 0.01)
    await api.add_node()
    signals = NodeSignals(api.database, api.process.services.dispatcher, api.process.instances.tell_nodes)
    await execute(api, "ALTER TABLE steps RENAME TO gone")
    await signals.node_changed("node-1")
    async with asyncio.timeout(HANG_SECONDS):
        while signals.care.failures == 0:
            await asyncio.sleep(0.005)
        await execute(api, "ALTER TABLE gone RENAME TO steps")
        await signals.node_changed("node-1")
        while signals.care.age > 0:
            await asyncio.sleep(0.005)
