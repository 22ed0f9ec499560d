"""Lists hide no row for another one that this version can't read."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tests.api.rest.test_run import step
from tests.fixtures.api import ApiUnderTest

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL checks JSON itself


async def execute(api: ApiUnderTest, statement: str) -> None:
    async with api.database.write() as session:
        await (await session.connection()).execute(text(statement))


async def walk(api: ApiUnderTest, path: str, key: str, **params: Any) -> list[Any]:
    """The keys of all items, a page of one each."""
    found: list[Any] = []
    while True:
        answer = await api.http.get(path, params={"limit": 1, **params})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [item[key] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


@pytest.fixture
async def runs(api: ApiUnderTest) -> list[str]:
    """Three runs of three steps each on one of three nodes, newest first."""
    for name in ("node-1", "node-2", "node-3"):
        await api.add_node(name)
    made = [await api.submit(step("a"), step("b"), step("c")) for _ in range(3)]
    return sorted((run["id"] for run in made), reverse=True)


async def check(api: ApiUnderTest, runs: list[str]) -> None:
    assert await walk(api, "/runs", "id") == [runs[0], runs[2]]
    assert await walk(api, "/nodes", "id") == ["node-1", "node-3"]
    shown = (await api.http.get(f"/runs/{runs[0]}")).json()
    assert [item["name"] for item in shown["steps"]] == ["a", "c"]
    for path in (f"/runs/{runs[1]}", "/nodes/node-2"):
        answer = await api.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (409, "unreadable"), answer.text
        name = path.strip("/").replace("s/", " ")
        assert answer.json()["detail"].startswith(f"{name} can't be read by this version: ")
    metrics = (await api.anonymous.get("/metrics")).text
    assert 'gamekeeper_background_failures_total{task="odd_rows"} 0.0' not in metrics


async def test_rows_of_a_newer_version(api: ApiUnderTest, runs: list[str], caplog: pytest.LogCaptureFixture) -> None:
    await execute(api, f"UPDATE runs SET state = 'dreaming' WHERE id = '{runs[1]}'")
    await execute(api, "UPDATE nodes SET mode = 'dreaming' WHERE id = 'node-2'")
    await execute(api, f"UPDATE steps SET state = 'dreaming' WHERE run_id = '{runs[0]}' AND name = 'b'")
    for _ in range(2):
        await check(api, runs)
    told = [record.getMessage().partition(" for now")[0] for record in caplog.records if "skips" in record.msg]
    assert told == [f"odd_rows skips {name}" for name in (f"runs {runs[1]}", "nodes node-2", "steps b")]


async def test_events_of_a_newer_version(api: ApiUnderTest, runs: list[str]) -> None:
    """A kind that nobody knows is shown; what is no object of data can't be."""
    before = await walk(api, "/events", "seq")
    await execute(api, f"UPDATE events SET kind = 'node.dreaming' WHERE seq = {before[1]}")
    await execute(api, f"UPDATE events SET data = '[]' WHERE seq = {before[2]}")
    after = await walk(api, "/events", "seq")
    assert after == [seq for seq in before if seq != before[2]]
    assert (await api.http.get("/events")).json()["items"][1]["kind"] == "node.dreaming"


@on_sqlite
async def test_torn_rows(api: ApiUnderTest, runs: list[str]) -> None:
    before = await walk(api, "/events", "seq")
    await execute(api, f"UPDATE runs SET labels = '{{' WHERE id = '{runs[1]}'")
    await execute(api, "UPDATE nodes SET labels = '{' WHERE id = 'node-2'")
    await execute(api, f"UPDATE steps SET outputs = '{{' WHERE run_id = '{runs[0]}' AND name = 'b'")
    await execute(api, f"UPDATE events SET data = '{{' WHERE seq = {before[1]}")
    await execute(api, f"UPDATE events SET at = 'once' WHERE seq = {before[-1]}")
    await check(api, runs)
    assert await walk(api, "/events", "seq") == [seq for seq in before if seq not in (before[1], before[-1])]


@on_sqlite
async def test_a_torn_run_hides_no_group(api: ApiUnderTest) -> None:
    await api.add_node()
    groups = [{"concurrency": {"group": name, "limit": 2}} for name in ("a", "b")]
    made = [await api.submit(step("s"), spec={"name": "p", "steps": [step("s")], **group}) for group in groups]
    await execute(api, f"UPDATE runs SET labels = '{{' WHERE id = '{made[0]['id']}'")
    assert await walk(api, "/run-groups", "name") == ["a", "b"]
