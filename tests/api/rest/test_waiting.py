"""The reasons for which runs and steps wait, as REST tells them from the rows of runs, steps and nodes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import col, update

from gamekeeper.db.models import NodeRow, RunRow, StepRow
from tests.api.rest.test_run import step
from tests.fixtures.api import ApiUnderTest

SEEN = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
WAITS: dict[str, Any] = {"state": "waiting_node"}
HANDED_OVER: dict[str, Any] = {"state": "starting", "try_number": 1}


@pytest.fixture(autouse=True)
async def node_1(api: ApiUnderTest) -> None:
    await api.add_node()


async def waiting(
    api: ApiUnderTest,
    *,
    node: dict[str, Any] | None = None,
    run: dict[str, Any] | None = None,
    a: dict[str, Any] | None = None,
) -> tuple[str, str]:
    """The words on a run of the steps ``a`` and ``b``, and those on ``a``."""
    run_id = (await api.submit(step("a"), step("b")))["id"]
    changes = ((NodeRow, NodeRow.id, "node-1", node), (RunRow, RunRow.id, run_id, {"state": "running"} | (run or {})))
    async with api.database.write() as session:
        for table, key, value, fields in changes:
            if fields:
                await session.exec(update(table).where(col(key) == value).values(**fields))
        if a:
            await session.exec(
                update(StepRow).where(col(StepRow.run_id) == run_id, col(StepRow.name) == "a").values(**a)
            )
    shown = (await api.http.get(f"/runs/{run_id}")).json()
    listed = {item["id"]: item["waiting"] for item in (await api.http.get("/runs")).json()["items"]}
    assert listed[run_id] == shown["waiting"]
    return shown["waiting"], next(item["waiting"] for item in shown["steps"] if item["name"] == "a")


@pytest.mark.parametrize(
    ("node", "step_fields", "reason"),
    [
        ({"status": "offline", "last_seen_at": SEEN}, WAITS, "for node node-1, offline since 2026-11-01 12:30 UTC"),
        ({"status": "suspect", "last_seen_at": SEEN}, WAITS, "for node node-1, silent since 2026-11-01 12:30 UTC"),
        ({"status": "online", "last_seen_at": SEEN}, HANDED_OVER, "for node node-1 to take it"),
        (
            {"status": "offline", "last_seen_at": SEEN, "mode": "maintenance"},
            WAITS,
            "for node node-1, in maintenance; gamekeeper node edit node-1 --mode active",
        ),
    ],
)
async def test_a_step_that_its_node_keeps_waiting(
    api: ApiUnderTest, node: dict[str, Any], step_fields: dict[str, Any], reason: str
) -> None:
    assert await waiting(api, node=node, a=step_fields) == (f"a waits {reason}", reason)


@pytest.mark.parametrize("has_begun", [{"state": "running", "phase": "running", "phase_try": 1}, {"state": "pending"}])
async def test_a_node_that_is_busy_with_other_steps(api: ApiUnderTest, has_begun: dict[str, Any]) -> None:
    await waiting(api, a={"try_number": 1} | has_begun)
    reason = "for node node-1 to take it" + (", which is busy with 1 other step" if "phase" in has_begun else "")
    assert await waiting(api, node={"status": "online"}, a=HANDED_OVER) == (f"a waits {reason}", reason)


async def test_a_step_that_its_agent_has_in_hand_waits_for_nothing(api: ApiUnderTest) -> None:
    begun = HANDED_OVER | {"phase": "pulling", "phase_try": 1}
    assert await waiting(api, node={"status": "online"}, a=begun) == ("", "")


async def test_a_paused_run_waits_for_a_user_whatever_its_steps_do(api: ApiUnderTest) -> None:
    found = await waiting(api, node={"status": "offline"}, run={"state": "paused"}, a=WAITS)
    assert found == ("for a user to resume it", "for node node-1, offline since some time ago")


async def test_a_run_in_a_group_tells_its_place(api: ApiUnderTest) -> None:
    message = 'waits in group "arena": 1 of 1 run, place 1'
    queued = {"state": "queued", "message": message, "concurrency_group": "arena"}
    assert await waiting(api, run=queued) == ('in group "arena": 1 of 1 run, place 1', "")


async def test_several_steps_are_counted(api: ApiUnderTest) -> None:
    run_id = (await api.submit(step("a"), step("b"), step("c")))["id"]
    async with api.database.write() as session:
        await session.exec(update(RunRow).values(state="running"))
        await session.exec(update(StepRow).values(state="held", message="exit code 3"))
    shown = (await api.http.get(f"/runs/{run_id}")).json()
    assert shown["waiting"] == "a waits for a user's decision: exit code 3, and 2 more"
