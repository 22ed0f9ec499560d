"""Answers, pauses, cancelled steps and reruns over REST, on a node with a dummy engine."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.db.run_store import SqlRunStore
from gamekeeper.domain.run.run import RunSnapshot, RunState
from gamekeeper.domain.run.step import StepState, StepStatus
from tests.fixtures.api import ApiUnderTest


@pytest.fixture
async def ready(api: ApiUnderTest) -> ApiUnderTest:
    await api.add_node()
    await api.start_agent()
    await api.start_control_worker()
    return api


def step(name: str, *needs: str, **fields: Any) -> dict[str, Any]:
    environment = {f"DUMMY_{key.upper()}": str(value) for key, value in fields.pop("dummy", {}).items()}
    container = {"image": "image", "environment": environment}
    return {"name": name, "needs": list(needs), "container": container} | fields


async def events(api: ApiUnderTest, kind: str) -> list[tuple[str, str, str]]:
    items = (await api.http.get("/events", params={"kind": kind})).json()["items"]
    return [(item["step"], item["message"], item["actor"]) for item in items]


def states(run: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["state"] for row in run["steps"]}


async def test_an_approval(ready: ApiUnderTest) -> None:
    ask = {"name": "ask", "type": "approval", "approval": {"message": "go?", "expires": "1h"}}
    run = await ready.submit(ask, step("a", "ask"))
    row = await ready.until_step(run["id"], "ask", "running")
    assert (row["message"], row["node"]) == ("go?", "")
    assert row["deadline_at"] is not None
    url = f"/runs/{run['id']}/steps/ask/approval"
    answer = await ready.http.post(url, json={"approved": True, "comment": "all green"})
    assert answer.status_code == 200, answer.text
    ended = await ready.until_run(run["id"], "succeeded", "failed")
    assert states(ended) == {"ask": "succeeded", "a": "succeeded"}
    assert ended["steps"][0]["outputs"] == {"by": "key:admin", "comment": "all green"}
    again = await ready.http.post(url, json={"approved": False})
    assert again.status_code == 409
    assert await events(ready, "step.approved") == [("ask", "all green", "key:admin")]
    assert await events(ready, "step.rejected") == []


async def test_an_approval_is_answered_once(ready: ApiUnderTest) -> None:
    ask = {"name": "ask", "type": "approval", "approval": {"message": "go?"}}
    run = await ready.submit(ask, step("a", "ask", dummy={"sleep": 60}))
    await ready.until_step(run["id"], "ask", "running")
    url = f"/runs/{run['id']}/steps/ask/approval"
    assert (await ready.http.post(url, json={"approved": True})).status_code == 200
    again = await ready.http.post(url, json={"approved": False})
    assert (again.status_code, again.json()["detail"]) == (409, 'step "ask" was approved already by key:admin')
    missing = await ready.http.post(f"/runs/{run['id']}/steps/nothing/approval", json={"approved": True})
    assert missing.status_code == 404


async def test_a_held_step_is_retried(ready: ApiUnderTest) -> None:
    run = await ready.submit(step("a", dummy={"exit_code": 3}, on_failure="hold 1h"))
    row = await ready.until_step(run["id"], "a", "held")
    assert (row["reason"], row["exit_code"], row["try"]) == ("exit_code", 3, 1)
    url = f"/runs/{run['id']}/steps/a/hold"
    assert (await ready.http.post(url, json={"action": "retry"})).status_code == 200
    await ready.until_step(run["id"], "a", "running", "starting", "held")
    row = await until_try(ready, run["id"], 2)
    assert (await ready.http.post(url, json={"action": "burn"})).status_code == 422
    assert (await ready.http.post(url, json={"action": "skip"})).status_code == 200
    ended = await ready.until_run(run["id"], "succeeded", "failed")
    assert (ended["state"], states(ended)) == ("succeeded", {"a": "skipped"})


async def until_try(api: ApiUnderTest, run_id: str, number: int) -> dict[str, Any]:
    while True:
        row = await api.until_step(run_id, "a", "held")
        if row["try"] == number:
            return row


async def test_pause_and_resume(ready: ApiUnderTest) -> None:
    run = await ready.submit(step("a", dummy={"sleep": 60}), step("b", "a"))
    await ready.until_step(run["id"], "a", "running")
    assert (await ready.http.post(f"/runs/{run['id']}/pause")).status_code == 200
    await ready.until_run(run["id"], "paused")
    assert (await ready.http.post(f"/runs/{run['id']}/pause")).status_code == 409
    ready.finish("a")
    row = await ready.until_step(run["id"], "a", "succeeded")
    assert [item["id"] for item in (await ready.http.get("/runs", params={"state": "paused"})).json()["items"]] == [
        run["id"]
    ]
    assert (await ready.http.post(f"/runs/{run['id']}/resume")).status_code == 200
    ended = await ready.until_run(run["id"], "succeeded", "failed")
    assert ended["steps"][1]["started_at"] > row["finished_at"]
    assert (await ready.http.post(f"/runs/{run['id']}/pause")).status_code == 409


async def test_one_step_is_canceled(ready: ApiUnderTest) -> None:
    run = await ready.submit(step("a", dummy={"sleep": 60}), step("b"))
    await ready.until_step(run["id"], "a", "running")
    answer = await ready.http.post(f"/runs/{run['id']}/steps/a/cancel", json={"reason": "wrong map"})
    assert answer.status_code == 202
    ended = await ready.until_run(run["id"], "succeeded", "failed")
    assert states(ended) == {"a": "canceled", "b": "succeeded"}
    assert ended["steps"][0]["message"] == "canceled by key:admin: wrong map"


async def test_a_matrix_has_a_row_and_a_log_for_each_cell(ready: ApiUnderTest) -> None:
    made = step("m", matrix={"n": list(range(12))}, dummy={"output": "cell ${{ matrix.n }}\n"})
    run = await ready.submit(made, step("after", "m"))
    ended = await ready.until_run(run["id"], "succeeded", "failed")
    assert [row["name"] for row in ended["steps"]] == ["m", *[f"m.{number}" for number in range(12)], "after"]
    assert (ended["steps"][11]["cell_of"], ended["steps"][11]["matrix"]) == ("m", {"n": 10})
    assert (await ready.http.get(f"/runs/{run['id']}/steps/m.10/logs")).text == "cell 10\n"


async def test_a_rerun_from_the_failed_step(ready: ApiUnderTest) -> None:
    steps = [
        step("a", outputs=["x"], dummy={"step_output": "x=1", "output": "first\n"}),
        step("b", "a", dummy={"exit_code": "${{ args.code }}"}),
        step("c", "b"),
    ]
    spec = {"name": "test", "args": {"code": 3}, "steps": steps}
    old = (await ready.http.post("/runs", json={"spec": spec, "node": "node-1"})).json()
    assert (await ready.http.post(f"/runs/{old['id']}/rerun")).status_code in (409,)
    await ready.until_run(old["id"], "failed")
    headers = {"Idempotency-Key": "again-1"}
    body = {"from": "failed", "args": {"code": 0}}
    answer = await ready.http.post(f"/runs/{old['id']}/rerun", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    twice = await ready.http.post(f"/runs/{old['id']}/rerun", json=body, headers=headers)
    assert twice.json()["id"] == answer.json()["id"]
    ended = await ready.until_run(answer.json()["id"], "succeeded", "failed")
    assert (ended["state"], ended["rerun_of"], ended["args"]) == ("succeeded", old["id"], {"code": 0})
    rows = {row["name"]: row for row in ended["steps"]}
    assert [rows[name]["carried_from"] for name in "abc"] == [old["id"], None, None]
    assert rows["a"]["outputs"] == {"x": "1"}
    assert (await ready.http.get(f"/runs/{ended['id']}/steps/a/logs")).text == "first\n"
    third = await ready.http.post(f"/runs/{ended['id']}/rerun", json={"from": "c"})
    again = await ready.until_run(third.json()["id"], "succeeded", "failed")
    assert [row["carried_from"] for row in again["steps"]] == [old["id"], ended["id"], None]
    whole = await ready.http.post(f"/runs/{ended['id']}/rerun", json={"from": "all"})
    done = await ready.until_run(whole.json()["id"], "succeeded", "failed")
    assert [row["carried_from"] for row in done["steps"]] == [None, None, None]


async def test_what_can_not_be_rerun(ready: ApiUnderTest) -> None:
    run = await ready.submit(step("a"))
    await ready.until_run(run["id"], "succeeded")
    url = f"/runs/{run['id']}/rerun"
    assert (await ready.http.post(url, json={"from": "nothing"})).status_code == 422
    assert (await ready.http.post(url, json={"args": {"nope": 1}})).status_code == 422
    assert (await ready.http.post("/runs/nothing/rerun")).status_code == 404
    assert len((await ready.http.get("/runs")).json()["items"]) == 1


async def test_a_nul_in_a_message_holds_up_no_run(api: ApiUnderTest) -> None:
    """An output can bring it into a cell's name. PostgreSQL takes it in no text, and would be asked for ever."""
    await api.add_node()
    run = await api.submit(step("a"))
    status = StepStatus(
        name="a", position=0, type="job", node="node-1", state=StepState.RUNNING, message="n=\0", try_=1
    )
    snapshot = RunSnapshot(run_id=run["id"], version=1, state=RunState.FAILED, message="a: n=\0", steps=[status])
    await SqlRunStore(api.database).write_snapshot(snapshot)
    found = (await api.http.get(f"/runs/{run['id']}")).json()
    assert (found["message"], found["steps"][0]["message"]) == ("a: n=\ufffd", "n=\ufffd")
