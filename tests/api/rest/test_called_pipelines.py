"""Steps that run another stored pipeline, over REST, on a node with a dummy engine."""

from __future__ import annotations

from typing import Any

from tests.api.rest.test_run_control import ready, states, step
from tests.fixtures.api import ApiUnderTest

__all__ = ["ready"]


async def store(api: ApiUnderTest, name: str, *steps: dict[str, Any], **fields: Any) -> int:
    answer = await api.http.post("/pipelines", json={"spec": {"name": name, "steps": list(steps)} | fields})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["version"])


def call(name: str, *needs: str, **fields: Any) -> dict[str, Any]:
    pipeline = {"name": fields.pop("calls", "announce")} | fields.pop("with_", {})
    return {"name": name, "type": "pipeline", "needs": list(needs), "pipeline": pipeline} | fields


async def test_a_step_is_a_run_of_its_own(ready: ApiUnderTest) -> None:
    dummy = {"name": "say", "container": {"image": "i", "environment": {"WHAT": "${{ args.what }}"}}}
    version = await store(ready, "announce", dummy, args=["what"])
    first = step("a", dummy={"step_output": "digest=abc"}, outputs=["digest"])
    run = await ready.submit(first, call("b", "a", with_={"args": {"what": "${{ steps.a.outputs.digest }}"}}))
    ended = await ready.until_run(run["id"], "succeeded", "failed")
    assert states(ended) == {"a": "succeeded", "b": "succeeded"}
    row = ended["steps"][1]
    assert row["node"] == ""
    assert row["started_at"] <= row["finished_at"]
    child = (await ready.http.get(f"/runs/{row['outputs']['run']}")).json()
    assert (child["parent_run"], child["parent_step"], child["state"]) == (run["id"], "b", "succeeded")
    assert (child["args"], child["pipeline_version"]) == ({"what": "abc"}, version)
    assert child["steps"][0]["node"] == "node-1"  # the node of the call
    listed = (await ready.http.get("/runs", params={"parent": run["id"]})).json()["items"]
    assert [item["id"] for item in listed] == [child["id"]]


async def test_it_stays_with_the_version_of_the_submission(ready: ApiUnderTest) -> None:
    await store(ready, "announce", step("old"))
    run = await ready.submit(step("wait", dummy={"sleep": 60}), call("b", "wait"))
    await ready.until_step(run["id"], "wait", "running")
    await store(ready, "announce", step("new"))
    ready.finish("wait")
    ended = await ready.until_run(run["id"], "succeeded", "failed")
    child = (await ready.http.get(f"/runs/{ended['steps'][1]['outputs']['run']}")).json()
    assert (child["pipeline_version"], states(child)) == (1, {"old": "succeeded"})


async def test_its_failure_is_the_step_s(ready: ApiUnderTest) -> None:
    await store(ready, "announce", step("x", dummy={"exit_code": 7}))
    run = await ready.submit(call("b", retry={"attempts": 2, "backoff": "10ms", "on": ["failure"]}))
    ended = await ready.until_run(run["id"], "succeeded", "failed")
    row = ended["steps"][0]
    assert (ended["state"], row["state"], row["reason"], row["try"]) == ("failed", "failed", "exit_code", 2)
    assert row["message"] == f"run {row['outputs']['run']} failed: step x: exit code 7"
    children = (await ready.http.get("/runs", params={"parent": run["id"]})).json()["items"]
    assert len({item["id"] for item in children}) == 2  # a run for each try


async def test_it_ends_with_its_parent(ready: ApiUnderTest) -> None:
    await store(ready, "inner", step("x", dummy={"sleep": 60}))
    await store(ready, "announce", call("deeper", calls="inner"))
    run = await ready.submit(call("b"))
    row = await ready.until_step(run["id"], "b", "running")
    middle = row["outputs"]["run"]
    inner = (await ready.until_step(middle, "deeper", "running"))["outputs"]["run"]
    await ready.until_step(inner, "x", "running")
    await ready.http.post(f"/runs/{run['id']}/cancel", json={"reason": "enough"})
    for run_id in (run["id"], middle, inner):
        ended = await ready.until_run(run_id, "canceled", "failed", "succeeded")
        assert ended["state"] == "canceled", ended
    assert f"run {middle} ends" in ended["message"]


async def test_one_step_of_it_is_canceled(ready: ApiUnderTest) -> None:
    await store(ready, "announce", step("x", dummy={"sleep": 60}))
    run = await ready.submit(call("b"), step("c", "b", **{"if": "always()"}))
    child = (await ready.until_step(run["id"], "b", "running"))["outputs"]["run"]
    await ready.until_step(child, "x", "running")
    await ready.http.post(f"/runs/{run['id']}/steps/b/cancel", json={"reason": "not now"})
    ended = await ready.until_run(run["id"], "failed", "succeeded", "canceled")
    assert states(ended) == {"b": "canceled", "c": "succeeded"}
    assert ended["steps"][0]["message"] == "canceled by key:admin: not now"
    assert (await ready.until_run(child, "canceled"))["message"] == "canceled by key:admin: not now"


async def test_a_child_that_is_canceled_fails_its_parent(ready: ApiUnderTest) -> None:
    await store(ready, "announce", step("x", dummy={"sleep": 60}))
    run = await ready.submit(call("b"))
    child = (await ready.until_step(run["id"], "b", "running"))["outputs"]["run"]
    await ready.until_step(child, "x", "running")
    await ready.http.post(f"/runs/{child}/cancel", json={})
    ended = await ready.until_run(run["id"], "failed", "succeeded", "canceled")
    assert (ended["state"], states(ended)) == ("failed", {"b": "canceled"})


async def test_its_time_limit(ready: ApiUnderTest) -> None:
    await store(ready, "announce", step("x", dummy={"sleep": 60}))
    run = await ready.submit(call("b", timeout="500ms"))
    ended = await ready.until_run(run["id"], "failed", "succeeded")
    row = ended["steps"][0]
    assert (row["state"], row["reason"]) == ("failed", "timeout")
    child = await ready.until_run(row["outputs"]["run"], "canceled", "failed", "succeeded")
    assert child["state"] == "canceled"


async def test_a_matrix_of_calls(ready: ApiUnderTest) -> None:
    await store(ready, "announce", step("say"), args={"n": {"type": "integer"}})
    cells = call("b", matrix={"n": [1, 2, 3]}, max_parallel=2, with_={"args": {"n": "${{ matrix.n }}"}})
    run = await ready.submit(cells)
    ended = await ready.until_run(run["id"], "failed", "succeeded")
    assert ended["state"] == "succeeded", ended
    children = (await ready.http.get("/runs", params={"parent": run["id"]})).json()["items"]
    assert sorted(item["parent_step"] for item in children) == ["b.0", "b.1", "b.2"]


async def problems(api: ApiUnderTest, *steps: dict[str, Any], **fields: Any) -> list[tuple[str, str, str]]:
    body = {"spec": {"name": "test", "steps": list(steps)} | fields, "node": "node-1"}
    answer = await api.http.post("/runs", json=body)
    assert answer.status_code == 422, answer.text
    return [(item["path"], item["code"], item["message"]) for item in answer.json()["problems"]]


async def test_what_is_wrong_is_told_before_anything_starts(ready: ApiUnderTest) -> None:
    await store(ready, "announce", step("say"), args={"n": {"type": "integer"}})
    assert await problems(ready, call("a", calls="nothing")) == [
        ("steps[0].pipeline.name", "unknown", 'there is no pipeline "nothing"')
    ]
    assert await problems(ready, call("a", with_={"version": 9})) == [
        ("steps[0].pipeline.name", "unknown", 'there is no pipeline "announce" version 9')
    ]
    ((path, _, message),) = await problems(ready, call("a", with_={"args": {"n": "x"}}))
    assert (path, message) == ("steps[0].pipeline", 'announce: args.n: must be an integer within 2^63, got "x"')
    ((path, _, message),) = await problems(ready, call("a"))
    assert "announce: args.n: is required" in message
    later = {"n": "${{ run.status }}", "m": "1"}
    ((path, _, message),) = await problems(ready, call("a", with_={"args": later}))
    assert message == "announce: args.m: no such argument"
    ((path, _, message),) = await problems(ready, call("a", with_={"args": {"n": 1}}, node="nowhere"))
    assert 'announce: steps[0].node: node "nowhere" has never registered' in message


async def test_pipelines_that_call_one_another(ready: ApiUnderTest) -> None:
    await store(ready, "ping", step("say"))
    await store(ready, "pong", call("back", calls="ping"))
    await store(ready, "ping", call("there", calls="pong"))
    ((path, code, message),) = await problems(ready, call("a", calls="ping"))
    assert (path, code) == ("steps[0].pipeline", "cycle")
    assert message.endswith("pipelines that call one another never end: test -> ping -> pong -> ping")
    late = call("a", calls="ping", with_={"envs": {"X": "${{ run.status }}"}})  # known only in the run
    ((_, code, _),) = await problems(ready, late)
    assert code == "cycle"
    answer = await ready.http.post("/pipelines", json={"spec": {"name": "self", "steps": [call("a", calls="self")]}})
    assert answer.json()["problems"][0]["message"] == "a pipeline that calls itself never ends: self -> self"


async def test_a_cycle_that_comes_while_it_runs(ready: ApiUnderTest) -> None:
    """The called pipeline was changed after the submission, and its newest version is not pinned below."""
    await store(ready, "leaf", step("say"))
    await store(ready, "announce", call("deeper", calls="leaf"))
    run = await ready.submit(step("wait", dummy={"sleep": 60}), call("b", "wait"), pipeline=None)
    await ready.until_step(run["id"], "wait", "running")
    await store(ready, "leaf", call("up", calls="announce"))
    ready.finish("wait")
    ended = await ready.until_run(run["id"], "failed", "succeeded")
    row = ended["steps"][1]
    assert row["state"] == "error", row
    assert "never end" in row["message"]


async def test_many_calls_are_refused(ready: ApiUnderTest) -> None:
    """Ten pipelines that call the next one ten times each would be ten thousand million runs."""
    await store(ready, "p0", step("say"))
    for index in range(1, 4):
        await store(ready, f"p{index}", *[call(f"c{n}", calls=f"p{index - 1}") for n in range(10)])
    found = await problems(ready, call("a", calls="p3"))
    assert {code for _, code, _ in found} == {"too_many"}


async def test_what_can_only_be_wrong_later_is_the_step_s_error(ready: ApiUnderTest) -> None:
    await store(ready, "announce", step("say"), args={"n": {"type": "integer"}})
    first = step("a", dummy={"step_output": "n=many"}, outputs=["n"])
    run = await ready.submit(first, call("b", "a", with_={"args": {"n": "${{ steps.a.outputs.n }}"}}))
    ended = await ready.until_run(run["id"], "failed", "succeeded")
    row = ended["steps"][1]
    assert (row["state"], row["reason"]) == ("error", "internal")
    assert "args.n" in row["message"]


async def test_a_call_that_would_wait_for_its_caller(ready: ApiUnderTest) -> None:
    group = {"args": {"g": "arena"}, "concurrency": {"group": "${{ args.g }}"}}
    await store(ready, "announce", step("say"), **group)
    ((path, code, message),) = await problems(ready, call("a"), **group)
    assert (path, code) == ("steps[0].pipeline", "cycle")
    assert message == 'announce: concurrency.group: the caller holds group "arena", so this would wait for ever'
    first = step("a", dummy={"step_output": "g=arena"}, outputs=["g"])
    late = call("b", "a", with_={"args": {"g": "${{ steps.a.outputs.g }}"}})  # known only in the run
    answer = await ready.http.post(
        "/runs", json={"spec": {"name": "t", "steps": [first, late]} | group, "node": "node-1"}
    )
    ended = await ready.until_run(answer.json()["id"], "failed", "succeeded")
    assert 'the caller holds group "arena"' in ended["steps"][1]["message"]


async def test_large_pipelines_are_not_in_their_caller_s_history(ready: ApiUnderTest) -> None:
    """Twelve of 400 KiB at once would be over what Temporal takes in one message."""
    container = {"image": "i", "environment": {"WHAT": "x" * 10_000}}
    seldom = [{"name": f"s{n}", "needs": [], "if": "run.id == 'x'", "container": container} for n in range(40)]
    await store(ready, "announce", step("say"), *seldom)
    run = await ready.submit(call("b", matrix={"n": list(range(12))}))
    assert (await ready.until_run(run["id"], "failed", "succeeded"))["state"] == "succeeded"
    handle = ready.client.get_workflow_handle(f"run/{run['id']}")
    history = await handle.fetch_history()
    assert sum(event.ByteSize() for event in history.events) < 200_000
