"""Runs over REST, through the real workflow and a node with a dummy engine, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from temporalio.worker import Worker

from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import UnavailableError
from gamekeeper.temporal import queues
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS
from workflows import ScheduledRunWorkflow


def step(name: str, needs: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    environment = {f"DUMMY_{key.upper()}": str(value) for key, value in fields.pop("dummy", {}).items()}
    container = {"image": "image", "environment": environment, "stop_grace_period": "1s"}
    return {"name": name, "container": container} | ({} if needs is None else {"needs": needs}) | fields


async def start(api: ApiUnderTest, policy: NodePolicy | None = None) -> None:
    await api.add_node()
    await api.start_control_worker()
    await api.start_agent(policy=policy)


async def sse(api: ApiUnderTest, path: str, last_id: str = "") -> list[dict[str, Any]]:
    """All events of a stream that ends."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    answer = await asyncio.wait_for(api.http.get(path, headers=headers), HANG_SECONDS)
    assert answer.status_code == 200, answer.text
    found = []
    for block in answer.text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "data" in fields:
            found.append({"id": fields.get("id"), "event": fields["event"]} | json.loads(fields["data"]))
    return found


async def test_a_run_from_submission_to_its_log(api: ApiUnderTest) -> None:
    await start(api)
    made = await api.submit(step("a", dummy={"output": "one\ntwo\n"}), step("b"))
    assert (made["state"], [item["state"] for item in made["steps"]]) == ("queued", ["pending", "pending"])
    ended = await api.until_run(made["id"], "succeeded", "failed")
    first = ended["steps"][0]
    assert (first["state"], first["exit_code"], first["try"], first["node"]) == ("succeeded", 0, 1, "node-1")
    assert first["container"]
    assert first["digest"] == "sha256:dummy"
    assert first["started_at"] <= first["finished_at"]
    events = await sse(api, f"/runs/{made['id']}/steps/a/logs?follow=true")
    assert [(event["event"], event.get("text")) for event in events] == [
        ("line", "one\n"),
        ("line", "two\n"),
        ("end", None),
    ]
    assert events[-1]["complete"] is True
    again = await sse(api, f"/runs/{made['id']}/steps/a/logs?follow=true", last_id=events[0]["id"])
    assert again == events[1:]
    text = await api.http.get(f"/runs/{made['id']}/steps/a/logs")
    assert (text.text, text.headers["gamekeeper-log-complete"]) == ("one\ntwo\n", "true")


async def test_events_resume_without_skipping_or_repeating(api: ApiUnderTest) -> None:
    await start(api)
    made = await api.submit(step("a"), step("b", dummy={"exit_code": 2, "sleep": 600}))
    await api.until_step(made["id"], "b", "running")  # states that follow at once are told as one
    api.finish("b")
    await api.until_run(made["id"], "failed")
    events = await sse(api, f"/runs/{made['id']}/events")
    states = [(event["step"], event["state"]) for event in events if event["event"] != "end"]
    assert states[0] == ("", "queued")
    assert states[-1] == ("", "failed")
    assert [state for name, state in states if name == "b" and state in ("starting", "failed")] == [
        "starting",
        "failed",
    ]
    middle = len(events) // 2
    assert await sse(api, f"/runs/{made['id']}/events", last_id=events[middle]["id"]) == events[middle + 1 :]


async def test_containers_go_when_all_is_known(api: ApiUnderTest) -> None:
    await start(api)
    made = await api.submit(step("a", dummy={"output": "x\n"}), step("arena", type="service", lifetime="node"))
    await api.until_run(made["id"], "succeeded")
    async with asyncio.timeout(HANG_SECONDS):
        while (await api.http.get("/nodes/node-1/containers")).json()["items"]:
            await asyncio.sleep(0.05)
    (arena,) = (await api.http.get("/instances", params={"node": "node-1"})).json()["items"]
    assert (arena["state"], arena["step"], arena["run"], arena["revision"]) == ("ready", "arena", made["id"], 1)


async def test_cancel(api: ApiUnderTest) -> None:
    await start(api)
    made = await api.submit(step("a", dummy={"sleep": 60}), step("b"))
    await api.until_step(made["id"], "a", "running")
    answer = await api.http.post(f"/runs/{made['id']}/cancel", json={"reason": "wrong map"})
    assert answer.status_code == 202
    ended = await api.until_run(made["id"], "canceled")
    assert [(item["state"], item["reason"]) for item in ended["steps"]] == [("canceled", "user")] * 2
    assert ended["message"] == "wrong map"
    again = await api.http.post(f"/runs/{made['id']}/cancel")
    assert again.status_code == 409


async def test_idempotency_key(api: ApiUnderTest) -> None:
    await start(api)
    body = {"spec": {"name": "test", "steps": [step("a")]}, "node": "node-1"}
    answers = await asyncio.gather(
        *[api.http.post("/runs", json=body, headers={"Idempotency-Key": "k1"}) for _ in range(5)]
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await api.http.post("/runs", json=body | {"args": {}}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 409
    assert "belongs to run" in other.json()["detail"]


async def test_dry_run_starts_nothing(api: ApiUnderTest) -> None:
    await api.add_node()
    body = {"spec": {"name": "test", "steps": [step("a")]}, "node": "node-1"}
    answer = await api.http.post("/runs?dry_run=true", json=body)
    assert answer.status_code == 200
    assert answer.json()["pipeline"]["steps"][0]["node"] == "node-1"
    assert (await api.http.get("/runs")).json()["items"] == []


async def test_lists_and_filters(api: ApiUnderTest) -> None:
    await start(api)
    ids = [(await api.submit(step("a")))["id"] for _ in range(3)]
    for run_id in ids:
        await api.until_run(run_id, "succeeded")
    listed = (await api.http.get("/runs?limit=2")).json()
    assert len(listed["items"]) == 2
    rest = (await api.http.get("/runs", params={"cursor": listed["next_cursor"]})).json()
    assert sorted(item["id"] for item in listed["items"] + rest["items"]) == sorted(ids)
    for query, count in (
        ("state=succeeded", 3),
        ("state=failed", 0),
        ("node=node-1", 3),
        ("node=x", 0),
        ("pipeline=test", 3),
    ):
        assert len((await api.http.get(f"/runs?{query}")).json()["items"]) == count


async def test_node_modes_and_deletion_respect_live_steps(api: ApiUnderTest) -> None:
    """A node that is removed by force tells the ends of its steps before it is out: no step waits for its silence."""
    await start(api)
    made = await api.submit(step("a", dummy={"sleep": 60}))
    await api.until_step(made["id"], "a", "running")
    refused = await api.http.delete("/nodes/node-1")
    assert refused.status_code == 409
    assert f"{made['id']}/a" in refused.json()["detail"]
    assert (await api.http.delete("/nodes/node-1?force=true")).status_code == 204
    ended = await api.until_run(made["id"], "failed")
    assert (ended["steps"][0]["state"], ended["steps"][0]["exit_code"]) == ("canceled", 143)


async def test_what_waits_for_a_removed_node_ends(api: ApiUnderTest) -> None:
    """The signals of a removal go out behind it: they told nobody when the node's row was gone before them."""
    await api.add_node()
    await api.start_control_worker()
    made = await api.submit(step("a"))
    await api.until_step(made["id"], "a", "waiting_node")
    assert (await api.http.delete("/nodes/node-1?force=true")).status_code == 204
    ended = await api.until_run(made["id"], "failed")
    assert (ended["steps"][0]["state"], ended["steps"][0]["reason"]) == ("canceled", "node_disabled")


async def test_disabled_node_refuses_and_stops(api: ApiUnderTest) -> None:
    await start(api)
    made = await api.submit(step("a", dummy={"sleep": 60}))
    await api.until_step(made["id"], "a", "running")
    await api.http.patch("/nodes/node-1", json={"mode": "disabled"})
    ended = await api.until_run(made["id"], "failed")
    assert ended["steps"][0]["reason"] == "node_disabled"
    answer = await api.http.post("/runs", json={"spec": {"name": "t", "steps": [step("a")]}, "node": "node-1"})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["message"] == 'node "node-1" is disabled'


async def test_maintenance_holds_new_steps(api: ApiUnderTest) -> None:
    await start(api)
    await api.http.patch("/nodes/node-1", json={"mode": "maintenance"})
    made = await api.submit(step("a"))
    waiting = await api.until_step(made["id"], "a", "waiting_node")
    assert waiting["deadline_at"]
    assert "maintenance" in waiting["message"]
    await api.http.patch("/nodes/node-1", json={"mode": "active"})
    await api.until_run(made["id"], "succeeded")


async def test_a_node_without_an_agent_is_waited_for(api: ApiUnderTest) -> None:
    await api.add_node()
    await api.start_control_worker()
    made = await api.submit(step("a"))
    waiting = await api.until_step(made["id"], "a", "waiting_node")
    assert waiting["deadline_at"]
    await api.start_agent()
    await api.until_run(made["id"], "succeeded")


async def test_policy_is_refused_early_with_the_nodes_own_words(api: ApiUnderTest) -> None:
    await start(api, NodePolicy(host_paths=["/games"]))
    spec = {
        "name": "t",
        "steps": [{"name": "a", "container": {"image": "i", "volumes": ["/etc:/x", "/run:/r"], "privileged": True}}],
    }
    answer = await api.http.post("/runs", json={"spec": spec, "node": "node-1"})
    assert answer.status_code == 422
    found = {problem["path"]: (problem["message"], problem["hint"]) for problem in answer.json()["problems"]}
    judged = f"(judged by its policy {NodePolicy(host_paths=['/games']).revision}, as its agent told it last)"
    assert found == {
        "steps[0].container.volumes[0]": (
            'step "a": host path /etc is not in the policy of node-1',
            f"its owner may allow it by the line `host_paths: [/etc]` in the policy file on node-1 {judged}",
        ),
        "steps[0].container.volumes[1]": (
            "host path /run reaches /run/docker.sock, the engine's own, which no container may have",
            "no policy can allow it: leave it out",
        ),
        "steps[0].container.privileged": (
            'step "a": privileged is not in the policy of node-1',
            f"its owner may allow it by the line `privileged: true` in the policy file on node-1 {judged}",
        ),
    }


async def test_a_step_without_a_container_has_an_empty_complete_log(api: ApiUnderTest) -> None:
    await start(api)
    spec = {"name": "a", "container": {"image": "missing"}}
    made = await api.submit(spec, step("b"))
    ended = await api.until_run(made["id"], "failed")
    assert ended["steps"][0]["reason"] == "pull_failed"
    for name in ("a", "b"):
        events = await sse(api, f"/runs/{made['id']}/steps/{name}/logs?follow=true")
        assert [event["event"] for event in events] == ["end"]
        text = await api.http.get(f"/runs/{made['id']}/steps/{name}/logs")
        assert (text.text, text.headers["gamekeeper-log-complete"]) == ("", "true")
    missing = await api.http.get(f"/runs/{made['id']}/steps/zzz/logs")
    assert missing.status_code == 404


async def test_what_was_accepted_while_temporal_was_away_is_started(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(api)
    dispatcher = api.process.services.dispatcher

    async def away(*_: object) -> None:
        raise UnavailableError("Temporal does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(dispatcher, "start", away)
        made = await api.submit(step("a"))
    monkeypatch.setattr("api.services.run.reconcile.SETTLE", __import__("datetime").timedelta(0))
    await api.process.reconciler.reconcile()
    await api.until_run(made["id"], "succeeded")


async def test_a_run_whose_workflow_is_gone_is_closed(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    await api.add_node()
    await api.start_control_worker()
    made = await api.submit(step("a"))
    await api.until_step(made["id"], "a", "waiting_node")
    await api.client.get_workflow_handle(f"run/{made['id']}").terminate("by hand")
    monkeypatch.setattr("api.services.run.reconcile.SETTLE", timedelta(0))
    monkeypatch.setattr("api.services.run.reconcile.LOST_AFTER", timedelta(0))
    await api.process.reconciler.reconcile()
    ended = await api.until_run(made["id"], "failed")
    assert "terminated" in ended["message"]
    assert ended["steps"][0]["state"] == "error"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # Temporal waits longer before each new try
async def test_a_run_whose_workflow_tasks_fail_says_so(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control worker that can't lead the run: here it doesn't know the workflow."""
    from datetime import timedelta

    monkeypatch.setattr("api.services.run.reconcile.SETTLE", timedelta(0))
    await api.add_node()
    made = await api.submit(step("a"))
    async with Worker(api.client, task_queue=queues.CONTROL_PLANE, workflows=[ScheduledRunWorkflow]):
        async with asyncio.timeout(HANG_SECONDS):
            while "fails at this run" not in (run := (await api.http.get(f"/runs/{made['id']}")).json())["message"]:
                await api.process.reconciler.reconcile()
    assert run["state"] == "queued"
    events = (await api.http.get("/events", params={"kind": "run.stuck"})).json()["items"]
    assert [event["run"] for event in events] == [made["id"]]
