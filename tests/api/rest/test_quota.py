"""Quotas over REST: an admin sets them, their owners see them, and what exceeds one is refused in words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from temporalio.worker import Worker

from gamekeeper.temporal import queues
from tests.api.rest.people import by, events, make_user, token_of, whoami
from tests.api.rest.test_instance import act, idle, online
from tests.fakes.instance_keeper import FakeKeeper
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.guests import a_guest

Answer = dict[str, Any]
FREE = {name: {"limit": None, "used": 0} for name in ("instances", "cpus", "memory_bytes", "ports")}


@pytest.fixture
async def node(api: ApiUnderTest) -> ApiUnderTest:
    await api.add_node()
    await online(api, "node-1")
    return api


async def make(api: ApiUnderTest, id_: str, token: str, *, ports: int = 0, **limits: str) -> httpx.Response:
    container: Answer = {"image": "a:1", "deploy": {"resources": {"limits": limits}}}
    container["ports"] = [f"0:{8000 + index}/udp" for index in range(ports)]
    body = {"id": id_, "node": "node-1", "container": container}
    return await api.anonymous.post("/api/v1/instances", json=body, headers=by(token))


async def limit(api: ApiUnderTest, path: str, **limits: Any) -> Answer:
    answer = await api.http.patch(f"{path}/quota", json=limits)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_user_has_so_much_and_no_more(node: ApiUnderTest) -> None:
    mia = await make_user(node, "mia", "developer")
    token = await token_of(node)
    assert (await node.http.get(f"/users/{mia['id']}/quota")).json() == FREE
    set_ = await limit(node, f"/users/{mia['id']}", instances=3, cpus=2, memory_bytes=2**31, ports=2)
    assert {name: item["limit"] for name, item in set_.items()} == {
        "instances": 3,
        "cpus": 2.0,
        "memory_bytes": 2**31,
        "ports": 2,
    }
    assert (await make(node, "a", token, cpus="1.5", memory="1g", ports=1)).status_code == 201
    refused = await make(node, "b", token, cpus="1", memory="1g")
    assert (refused.status_code, refused.json()["code"]) == (409, "quota")
    assert 'quota of the user "mia" is exceeded: 1.5 of 2 CPUs are used, and 1 more' in refused.json()["detail"]
    made = await node.http.post("/keys", json={"name": "laptop", "role": "developer", "user": mia["id"]})
    assert (await make(node, "b", made.json()["key"], ports=2)).status_code == 409
    assert (await make(node, "b", made.json()["key"], ports=1)).status_code == 201
    own = (await whoami(node, token)).json()["quota"]
    assert own == (await node.http.get(f"/users/{mia['id']}/quota")).json()
    assert (own["instances"], own["cpus"], own["ports"]) == (
        {"limit": 3, "used": 2},
        {"limit": 2.0, "used": 1.6},
        {"limit": 2, "used": 2},
    )


async def test_a_quota_below_what_is_used_stops_nothing(node: ApiUnderTest) -> None:
    mia = await make_user(node, "mia", "developer")
    token = await token_of(node)
    assert (await make(node, "a", token)).status_code == 201
    await limit(node, f"/users/{mia['id']}", instances=0)
    found = (await node.http.get("/instances/a")).json()
    assert found["desired"] == "running"
    assert (await make(node, "b", token)).status_code == 409
    kept = await limit(node, f"/users/{mia['id']}", ports=5)  # the other limits stay
    assert (kept["instances"]["limit"], kept["ports"]["limit"]) == (0, 5)
    await limit(node, f"/users/{mia['id']}", instances=None)
    assert (await make(node, "b", token)).status_code == 201
    told = await events(node, "quota.changed")
    assert [each["message"] for each in told] == ["mia"] * 3
    assert (told[0]["data"]["before"]["instances"], told[0]["data"]["after"]["instances"]) == (0, None)
    assert told[0]["actor"] == "key:admin"


async def test_a_guest_has_a_quota_too(node: ApiUnderTest) -> None:
    guest = await a_guest(node)
    await guest.may("see", "edit", kind="instance", own=True)
    await guest.may("see", "run", kind="node")
    await limit(node, f"/keys/{guest.id}", instances=1)
    assert (await make(node, "a", guest.secret)).status_code == 201
    refused = await make(node, "b", guest.secret)
    assert 'quota of the key "guest" is exceeded: 1 of 1 instances are used' in refused.json()["detail"]
    assert (await guest.get(f"/keys/{guest.id}/quota")).status_code == 403
    assert (await guest.get("/whoami")).json()["quota"]["instances"] == {"limit": 1, "used": 1}


async def test_instances_of_who_was_removed_count_for_nobody(node: ApiUnderTest) -> None:
    mia = await make_user(node, "mia", "developer")
    await limit(node, f"/users/{mia['id']}", instances=1)
    assert (await make(node, "a", await token_of(node))).status_code == 201
    assert (await node.http.delete(f"/users/{mia['id']}")).status_code == 204
    assert (await node.http.get(f"/users/{mia['id']}/quota")).status_code == 404
    again = await make_user(node, "mia", "developer")
    await limit(node, f"/users/{again['id']}", instances=1)
    assert (await make(node, "b", await token_of(node))).status_code == 201
    assert (await node.http.get("/instances/a")).status_code == 200


async def test_a_key_of_a_user_has_none_of_its_own(node: ApiUnderTest) -> None:
    mia = await make_user(node, "mia", "developer")
    made = await node.http.post("/keys", json={"name": "laptop", "role": "developer", "user": mia["id"]})
    refused = await node.http.patch(f"/keys/{made.json()['id']}/quota", json={"instances": 1})
    assert (refused.status_code, "is a user's" in refused.json()["detail"]) == (409, True)


async def test_the_workflow_refuses_what_exceeds_it_and_goes_on(node: ApiUnderTest) -> None:
    await node.start_control_worker()
    activities = [FakeKeeper().carry_out]
    queue = queues.node_control_queue("node-1")
    worker = Worker(node.client_of_node("node-1"), task_queue=queue, activities=activities)
    await node.stack.enter_async_context(worker)
    mia = await make_user(node, "mia", "developer")
    token = await token_of(node)
    assert (await make(node, "arena", token, cpus="1")).status_code == 201
    await idle(node)
    await limit(node, f"/users/{mia['id']}", cpus=1, instances=1)
    larger: Answer = {"image": "a:2", "deploy": {"resources": {"limits": {"cpus": "2"}}}}
    refused = await act(node, "update", {"container": larger}, 409)  # an admin asks, and it is mia's
    assert "1 of 1 CPUs are used, and 1 more is asked for" in refused["detail"]
    await act(node, "stop")
    await idle(node)
    await limit(node, f"/users/{mia['id']}", cpus=0.5)
    assert "1 of 0.5 CPUs are used" in (await act(node, "start", status=409))["detail"]
    await limit(node, f"/users/{mia['id']}", cpus=2)
    await act(node, "start")
    assert (await idle(node))["state"] == "ready"
    step: Answer = {"name": "serve", "type": "service", "lifetime": "node", "node": "node-1"}
    body = {"spec": {"version": 1, "name": "more", "steps": [step | {"container": {"image": "a:1"}}]}}
    run = (await node.anonymous.post("/api/v1/runs", json=body, headers=by(token))).json()
    ended = await node.until_run(run["id"], "failed", "succeeded")
    assert ended["state"] == "failed"
    assert "1 of 1 instances are used" in ended["steps"][0]["message"]


@pytest.mark.parametrize(
    "body", [{"instances": -1}, {"cpus": "many"}, {"memory_bytes": 1.5}, {"gpus": 1}, {"ports": 2**70}, {"cpus": 1e300}]
)
async def test_odd_limits(api: ApiUnderTest, body: Answer) -> None:
    mia = await make_user(api, "mia", "developer")
    assert (await api.http.patch(f"/users/{mia['id']}/quota", json=body)).status_code == 422
