"""Concurrency groups over REST: queues, refusals and runs that make way, on a node with a dummy engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.rest.test_run_control import ready, states, step
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS
from workflows.run import group_queue

__all__ = ["ready"]


async def submit(api: ApiUnderTest, *, sleep: float = 60, status: int = 201, **concurrency: Any) -> dict[str, Any]:
    spec = {
        "name": "test",
        "concurrency": {"group": "arena"} | concurrency,
        "steps": [step("a", dummy={"sleep": sleep})],
        "finally": [step("z")],
    }
    answer = await api.http.post("/runs", json={"spec": spec, "node": "node-1"})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def groups(api: ApiUnderTest) -> list[tuple[str, list[str], list[str]]]:
    items = (await api.http.get("/run-groups")).json()["items"]
    return [(item["name"], item["running"], item["waiting"]) for item in items]


async def until_waiting(api: ApiUnderTest, run_id: str, place: int) -> dict[str, Any]:
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            found: dict[str, Any] = (await api.http.get(f"/runs/{run_id}")).json()
            if f"place {place}" in found["message"]:
                return found
            await asyncio.sleep(0.02)


async def test_runs_take_turns_in_the_order_they_came(ready: ApiUnderTest) -> None:
    first = await submit(ready)
    await ready.until_step(first["id"], "a", "running")
    second, third = await submit(ready, sleep=0), await submit(ready, sleep=0)
    shown = await until_waiting(ready, second["id"], 1)
    await until_waiting(ready, third["id"], 2)
    assert (shown["state"], shown["started_at"]) == ("queued", None)
    assert shown["message"] == 'waits in group "arena": 1 of 1 run, place 1'
    assert await groups(ready) == [("arena", [first["id"]], [second["id"], third["id"]])]
    only = (await ready.http.get("/run-groups", params={"name": "arena"})).json()["items"][0]
    assert only["waiting"] == [second["id"], third["id"]]
    await ready.http.post(f"/runs/{first['id']}/cancel", json={})
    ends = [await ready.until_run(run["id"], "succeeded", "failed") for run in (second, third)]
    assert ends[0]["finished_at"] <= ends[1]["started_at"]
    assert ends[0]["message"] == ""
    assert await groups(ready) == []


async def test_no_more_than_the_limit_at_once(ready: ApiUnderTest) -> None:
    runs = [await submit(ready, sleep=0.1, limit=2) for _ in range(6)]
    ends = [await ready.until_run(run["id"], "succeeded", "failed") for run in runs]
    spans = sorted((run["started_at"], run["finished_at"]) for run in ends)
    for index, (start, _) in enumerate(spans):
        assert sum(end > start for _, end in spans[:index]) <= 1


async def test_one_that_waits_can_be_canceled(ready: ApiUnderTest) -> None:
    first = await submit(ready)
    await ready.until_step(first["id"], "a", "running")
    second, third = await submit(ready), await submit(ready, sleep=0)
    await until_waiting(ready, third["id"], 2)
    await ready.http.post(f"/runs/{second['id']}/cancel", json={"reason": "no need"})
    ended = await ready.until_run(second["id"], "canceled", "failed")
    assert (ended["state"], ended["started_at"]) == ("canceled", None)
    assert states(ended) == {"a": "canceled", "z": "canceled"}  # what never began needs no cleaning up
    await ready.http.post(f"/runs/{first['id']}/cancel", json={})
    assert (await ready.until_run(third["id"], "succeeded", "failed"))["state"] == "succeeded"


async def test_a_busy_group_that_rejects(ready: ApiUnderTest) -> None:
    first = await submit(ready, on_busy="reject")
    refused = await submit(ready, on_busy="reject", status=409)
    assert refused["detail"] == f'group "arena" is busy with run {first["id"]}'
    await ready.http.post(f"/runs/{first['id']}/cancel", json={})
    await ready.until_run(first["id"], "canceled")
    again = await submit(ready, sleep=0, on_busy="reject")
    assert (await ready.until_run(again["id"], "succeeded", "failed"))["state"] == "succeeded"


async def test_two_that_come_at_once_are_not_both_taken(ready: ApiUnderTest) -> None:
    spec = {"name": "test", "concurrency": {"group": "arena", "on_busy": "reject"}, "steps": [step("a")]}
    body = {"spec": spec, "node": "node-1"}
    answers = await asyncio.gather(*[ready.http.post("/runs", json=body) for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]


async def test_a_new_run_supersedes_old_ones(ready: ApiUnderTest) -> None:
    first = await submit(ready)
    await ready.until_step(first["id"], "a", "running")
    second = await submit(ready)
    await until_waiting(ready, second["id"], 1)
    third = await submit(ready, sleep=0, on_busy="cancel_old")
    for old in (first, second):
        ended = await ready.until_run(old["id"], "canceled", "failed", "succeeded")
        assert (ended["state"], ended["reason"]) == ("canceled", "superseded")
        assert ended["cancel_reason"] == ended["message"] == f"superseded by run {third['id']}"
        assert ended["steps"][0]["reason"] == "superseded"
    assert (await ready.until_run(third["id"], "succeeded", "failed"))["state"] == "succeeded"


async def test_a_workflow_that_is_gone_frees_its_slot(ready: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody terminated it in the Temporal web UI: nobody is woken, but one looks, and the reconciler closes it."""
    monkeypatch.setattr(group_queue, "LOOK_AGAIN", group_queue.LOOK_AGAIN / 100)
    first = await submit(ready)
    await ready.until_step(first["id"], "a", "running")
    second = await submit(ready, sleep=0)
    await until_waiting(ready, second["id"], 1)
    await ready.client.get_workflow_handle(f"run/{first['id']}").terminate()
    monkeypatch.setattr("api.services.run.reconcile.LOST_AFTER", group_queue.LOOK_AGAIN * 0)
    monkeypatch.setattr("api.services.run.reconcile.SETTLE", group_queue.LOOK_AGAIN * 0)
    await ready.process.reconciler.reconcile()
    assert (await ready.until_run(second["id"], "succeeded", "failed"))["state"] == "succeeded"


async def test_groups_are_by_their_rendered_name(ready: ApiUnderTest) -> None:
    spec = {
        "name": "test",
        "args": {"port": {"type": "integer"}},
        "concurrency": {"group": "arena-${{ args.port }}", "on_busy": "reject"},
        "steps": [step("a", dummy={"sleep": 60})],
    }
    for port in (1, 2):
        answer = await ready.http.post("/runs", json={"spec": spec, "node": "node-1", "args": {"port": port}})
        assert answer.status_code == 201
        assert answer.json()["concurrency_group"] == f"arena-{port}"
    answer = await ready.http.post("/runs", json={"spec": spec, "node": "node-1", "args": {"port": 2}})
    assert answer.status_code == 409


async def test_a_name_that_no_database_takes_is_refused(ready: ApiUnderTest) -> None:
    spec = {
        "name": "test",
        "args": ["g"],
        "concurrency": {"group": "g-${{ args.g }}"},
        "steps": [step("a")],
    }
    for bad in ("\x07", "two\nlines", "x" * 300):
        answer = await ready.http.post("/runs", json={"spec": spec, "node": "node-1", "args": {"g": bad}})
        assert answer.status_code == 422, answer.text
        assert answer.json()["problems"][0]["path"] == "concurrency.group"
