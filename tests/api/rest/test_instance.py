"""Instances over REST, through the real workflow, on SQLite and PostgreSQL; the keeper is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio.worker import Worker

from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.temporal import queues
from tests.api.rest.test_bad_input import BODIES
from tests.fakes.instance_keeper import FakeKeeper, as_ordered
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.guests import a_guest
from tests.hang import HANG_SECONDS

Answer = dict[str, Any]


@pytest.fixture
async def keeper(api: ApiUnderTest) -> FakeKeeper:
    """A node that is online and has a keeper, and a control worker."""
    made = FakeKeeper()
    await api.add_node()
    await online(api, "node-1")
    await api.start_control_worker()
    worker = Worker(
        api.client_of_node("node-1"), task_queue=queues.node_control_queue("node-1"), activities=[made.carry_out]
    )
    await api.stack.enter_async_context(worker)
    return made


async def online(api: ApiUnderTest, node: str, status: str = "online") -> None:
    async with api.database.write() as session:
        (await NodeRepository(session).get(node)).status = status


async def create(api: ApiUnderTest, **fields: Any) -> Answer:
    body = {"id": "arena", "container": {"image": "a:1"}} | fields
    answer = await api.http.post("/instances", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def act(api: ApiUnderTest, action: str, body: Answer | None = None, status: int = 202) -> Answer:
    answer = await api.http.post(f"/instances/arena/{action}", json=body or {})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def remove(api: ApiUnderTest, **params: bool) -> None:
    answer = await api.http.delete("/instances/arena", params=params)
    assert answer.status_code == 202, answer.text


async def until(api: ApiUnderTest, is_so: Callable[[Answer], bool], instance: str = "arena") -> Answer:
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            found: Answer = (await api.http.get(f"/instances/{instance}")).json()
            if is_so(found):
                return found
            await asyncio.sleep(0.03)


async def idle(api: ApiUnderTest, instance: str = "arena") -> Answer:
    return await until(api, lambda found: found["operation"] is None, instance)


async def events(api: ApiUnderTest) -> list[tuple[str, str, str]]:
    items = (await api.http.get("/events", params={"instance": "arena"})).json()["items"]
    return [(item["kind"].removeprefix("instance."), item["message"], item["actor"]) for item in items][::-1]


async def counted(api: ApiUnderTest, state: str) -> bool:
    return f'gamekeeper_instances{{state="{state}"}} 1.0' in (await api.anonymous.get("/metrics")).text


async def test_metrics_count_instances_as_they_are_shown(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    assert (await counted(api, "ready"), await counted(api, "unknown")) == (True, False)
    await online(api, "node-1", "offline")
    assert (await counted(api, "ready"), await counted(api, "unknown")) == (False, True)


async def test_from_creation_to_deletion(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    made = await create(api, labels={"game": "teeworlds"}, name="Arena")
    assert made["operation"]["action"] == "create"
    found = await idle(api)
    wanted = {"state": "ready", "desired": "running", "revision": 1, "image": "a:1", "node": "node-1"}
    assert {name: found[name] for name in wanted} == wanted
    assert (found["created_by"], found["labels"], found["name"]) == ("key:admin", {"game": "teeworlds"}, "Arena")
    stopping = await act(api, "stop", {"reason": "lunch"})
    assert (stopping["operation"] or {"serial": 2})["serial"] == 2
    assert (await idle(api))["state"] == "stopped"
    await act(api, "start")
    assert (await idle(api))["state"] == "ready"
    await act(api, "update", {"container": {"image": "a:2", "environment": {"SV_MAP": "dm1"}}})
    updated = await idle(api)
    assert (updated["revision"], updated["image"], updated["state"]) == (2, "a:2", "ready")
    await act(api, "rollback")
    assert ((await idle(api))["revision"], keeper.orders[-1].spec.container.image) == (1, "a:1")
    await remove(api, volumes=True)
    await until(api, lambda found: found.get("code") == "not_found")
    assert keeper.orders[-1].volumes
    assert (await api.http.get("/instances")).json()["items"] == []
    asked = [(message, actor) for kind, message, actor in await events(api) if kind == "asked"]
    assert asked == [(action, "key:admin") for action in ("stop", "start", "update", "rollback", "remove")]


async def test_one_whose_time_ran_out_wants_more_before_it_starts(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api, desired="stopped")
    await idle(api)
    async with api.database.write() as session:
        (await InstanceRepository(session).get("arena")).expires_at = utc_now() - timedelta(seconds=1)
    for action in ("start", "restart"):
        assert "--expires" in (await act(api, action, status=409))["hint"]
    await api.http.patch("/instances/arena", json={"expires_at": None})
    await act(api, "start")
    assert (await idle(api))["state"] == "ready"


async def test_an_id_that_was_used_before_goes_on_with_its_numbers(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    await remove(api)
    await until(api, lambda found: found.get("code") == "not_found")
    assert (await create(api))["revision"] == 2
    again = await idle(api)
    assert (again["state"], again["serial"], keeper.orders[-1].revision) == ("ready", 3, 2)


async def test_an_id_is_used_again_while_the_workflow_of_before_goes_on(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    """The row is deleted a moment before its workflow has ended; on a busy machine that is a long one."""
    await create(api)
    await idle(api)
    keeper.may_end.clear()
    await remove(api)
    await keeper.until_ordered(2)
    async with api.database.write() as session:
        (await InstanceRepository(session).get("arena")).deleted_at = utc_now()
    await create(api)
    await keeper.until_ordered(3)
    keeper.may_end.set()
    again = await idle(api)
    assert (again["state"], again["revision"], again["serial"]) == ("ready", 2, 3)
    assert (await act(api, "stop"))["desired"] == "stopped"


async def test_revisions_tell_their_changes(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api, container={"image": "a:1", "ports": ["8303:8303/udp"]})
    await idle(api)
    await act(api, "update", {"container": {"image": "a:2", "environment": {"SV_MAP": "dm1"}}})
    await idle(api)
    found = (await api.http.get("/instances/arena/revisions")).json()["items"]
    assert [(item["revision"], item["current"], item["created_by"]) for item in found] == [
        (2, True, "key:admin"),
        (1, False, "key:admin"),
    ]
    assert found[0]["changes"] == ["image: a:1 -> a:2", "environment.SV_MAP added", "ports: 8303:8303/udp removed"]
    for params, wanted in (({"limit": 1}, found[:1]), ({"before": 2}, found[1:]), ({"before": 1}, [])):
        assert (await api.http.get("/instances/arena/revisions", params=params)).json()["items"] == wanted
    assert (await api.http.get("/instances/arena/revisions/2")).json()["changes"] == found[0]["changes"]
    whole = (await api.http.get("/instances/arena/revisions/1", params={"diff": 2})).json()
    assert {**whole["spec"]["container"], "ports": [], "environment": {}} == {
        "image": "a:1",
        "ports": [],
        "environment": {},
    }
    assert whole["changes"][0] == "image: a:2 -> a:1"
    assert (await api.http.get("/instances/arena/revisions/7")).status_code == 404


async def test_a_revision_that_does_not_get_ready_goes_back_by_itself(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    keeper.settles = lambda order: (
        (InstanceState.CRASH_LOOP, InstanceReason.EXIT_CODE) if order.revision == 2 else as_ordered(order)
    )
    await create(api)
    await idle(api)
    await act(api, "update", {"container": {"image": "a:2"}, "auto_revert": True})
    found = await until(api, lambda found: found["revision"] == 1 and found["operation"] is None)
    assert (found["state"], found["image"], found["serial"]) == ("ready", "a:1", 3)
    assert ("reverted", "revision 2 -> 1: crash_loop as ordered", "system") in await events(api)
    await act(api, "update", {"container": {"image": "a:3"}})
    assert (await idle(api))["revision"] == 3


async def test_a_rollback_within_its_group_is_let_in_as_an_update_is(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    """Also where somebody else has joined it since."""
    for name in ("arena", "others"):
        await create(api, id=name, group="shop")
        await idle(api, name)
    guest = await a_guest(api)
    await guest.may("developer", kind="instance", ids=["arena"])
    await guest.may("see", "run", kind="node")
    updated = await guest.http.post("/instances/arena/update", json={"container": {"image": "a:2"}})
    assert updated.status_code == 202, updated.text
    await idle(api)
    back = await guest.http.post("/instances/arena/rollback", json={"revision": 1})
    assert back.status_code == 202, back.text
    assert (await idle(api))["revision"] == 1


async def test_an_update_that_changes_nothing_and_a_rollback_to_nowhere(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    assert "is this already" in (await act(api, "update", {"container": {"image": "a:1"}}, 409))["detail"]
    assert "has no revision before 1" in (await act(api, "rollback", None, 409))["detail"]
    assert "has no revision 9" in (await act(api, "rollback", {"revision": 9}, 409))["detail"]
    assert (await act(api, "stop"))["id"] == "arena"  # the lock is free


async def test_ports_are_held_from_the_first_revision_to_the_end(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    game = {"name": "game", "target": "2456-2457", "published": 0, "protocol": "udp"}
    made = await create(api, container={"image": "a:1", "ports": [game, "8080:80"]})
    web = {"name": "80", "protocol": "tcp", "number": 8080, "count": 1}
    block = {"name": "game", "protocol": "udp", "number": 20_000, "count": 2}
    assert made["held_ports"] == [web, block]
    await idle(api)
    other = {"id": "other", "container": {"image": "a:1", "ports": ["8080:90"]}}
    refused = await api.http.post("/instances", json=other)
    assert refused.status_code == 409
    assert "node-1: port 8080/tcp is taken by instance arena" in refused.json()["detail"]
    await act(api, "update", {"container": {"image": "a:2", "ports": ["0:81", game]}})
    assert (await idle(api))["held_ports"] == [web | {"name": "81", "number": 20_000}, block]
    assert (await api.http.post("/instances", json=other)).status_code == 201
    await remove(api)
    await until(api, lambda found: found.get("code") == "not_found")
    again = await create(api, id="next", container={"image": "a:1", "ports": ["0:81"]})
    assert again["held_ports"] == [web | {"name": "81", "number": 20_000}]


async def test_two_actions_at_once(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    keeper.may_end.clear()
    await create(api)
    await keeper.until_ordered(1)
    refused = await act(api, "stop", None, 409)
    assert "create by key:admin goes on since" in refused["detail"]
    await act(api, "kill", {"reason": "enough"})
    found = await idle(api)
    assert (found["state"], found["desired"], found["serial"]) == ("stopped", "stopped", 2)


async def test_an_idempotency_key_names_the_request(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    body = {"id": "arena", "container": {"image": "a:1"}}
    headers = {"Idempotency-Key": "once"}
    answers = [await api.http.post("/instances", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    other = await api.http.post("/instances", json=body | {"id": "b"}, headers=headers)
    assert (other.status_code, "belongs to instance arena" in other.text) == (409, True)
    taken = await api.http.post("/instances", json=body)
    assert (taken.status_code, taken.json()["detail"]) == (409, 'there is an instance "arena" already')


async def test_a_file_of_yaml(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    text = "id: arena\ncontainer:\n  image: a:1\n  commands: [./server]\nexpires: 2h\n"
    answer = await api.http.post("/instances", content=text, headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["expires_at"] is not None
    order = await keeper.until_ordered(1)
    assert order.spec.container.entrypoint == ["/bin/sh"]
    bad = text.replace("image: a:1", "imag: a:1").replace("2h", "soon")
    answer = await api.http.post("/instances", content=bad, headers={"Content-Type": "application/yaml"})
    found = [(item["path"], item["line"], item["code"]) for item in answer.json()["problems"]]
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_spec")
    assert {("container.imag", 3, "unknown_key"), ("container.image", 2, "missing"), ("expires", 5, "duration")} <= {
        *found
    }


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        ({"id": "Arena"}, "id", "name"),
        ({"container": {}}, "container.image", "missing"),
        ({"container": None}, "container", "missing"),
        ({"container": {"image": "a", "environment": {"A": "${{ args.x }}"}}}, "container.environment.A", "template"),
        ({"container": {"image": "a", "restart": "always"}}, "container.restart", "restart"),
        ({"container": {"image": "a", "volumes": ["/etc:/etc"]}}, "container.volumes[0]", "policy"),
        ({"container": {"image": "a", "volumes": ["gk-p-b-data:/d"]}}, "container.volumes[0]", "value"),
        ({"node": "nope"}, "node", "unknown_node"),
        ({"node": {"labels": 5}}, "node.labels", "type"),
        ({"node": {"labels": {"pool": "eu"}}}, "node", "never_fits"),
        ({"restart": {"policy": "maybe"}}, "restart.policy", "value"),
        ({"ready": {"within": "later"}}, "ready.within", "duration"),
        ({"hooks": {"pre_stop": {}}}, "hooks.pre_stop.command", "missing"),
        ({"colour": "red"}, "colour", "unknown_key"),
        ({"schedules": [{"cron": "0 5 * * *", "action": "stop"}]}, "schedules[0].name", "missing"),
        ({"schedules": [{"name": "n", "cron": "0 25 * * *", "action": "stop"}]}, "schedules[0].cron", "cron"),
        ({"schedules": [{"name": "n", "cron": "@daily", "action": "stop"}] * 2}, "schedules", "name"),
        ({"desired": "asleep"}, "desired", "value"),
    ],
)
async def test_problems_stand_where_they_are(refusing_api: ApiUnderTest, fields: Answer, path: str, code: str) -> None:
    async with refusing_api.database.write() as session:
        (await NodeRepository(session).get("node-1")).policy = NodePolicy().model_dump(mode="json")
    body = {"id": "arena", "node": "node-1", "container": {"image": "a"}} | fields
    answer = await refusing_api.http.post("/instances", json=body)
    assert answer.status_code == 422, answer.text
    assert (path, code) in [(item["path"], item["code"]) for item in answer.json()["problems"]], answer.text
    assert (await refusing_api.http.get("/instances")).json()["items"] == []


RAW = [(label, body) for label, body, status, _ in BODIES if isinstance(body, bytes)]


@pytest.mark.parametrize(("label", "body"), RAW, ids=[label for label, _ in RAW])
async def test_whatever_is_sent_is_no_server_error(refusing_api: ApiUnderTest, label: str, body: bytes) -> None:
    answer = await refusing_api.http.post("/instances", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text


async def test_disabled_and_maintenance_take_nothing_new(api: ApiUnderTest) -> None:
    await api.add_node(mode="maintenance")
    for mode in ("maintenance", "disabled"):
        await api.http.patch("/nodes/node-1", json={"mode": mode})
        answer = await api.http.post("/instances", json={"container": {"image": "a"}, "node": "node-1"})
        assert [item["code"] for item in answer.json()["problems"]] == [f"node_{mode}"]


async def test_of_an_instance_whose_node_is_away_nothing_is_known(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    await online(api, "node-1", "offline")
    found = (await api.http.get("/instances/arena")).json()
    assert (found["state"], found["reason"]) == ("unknown", "node_offline")
    assert found["message"].endswith("; it was ready")
    for states, count in ((["unknown"], 1), (["ready"], 0), (["ready", "unknown"], 1), (["ready", "failed"], 0)):
        assert len((await api.http.get("/instances", params={"state": states})).json()["items"]) == count


async def test_a_key_of_the_container_beside_it_is_answered(api: ApiUnderTest) -> None:
    answer = await api.http.post("/instances", json={"image": "a"})
    hints = {item["path"]: item["hint"] for item in answer.json()["problems"]}
    assert hints["image"] == "write it in the container: container: {image: ...}"


async def test_what_is_left_on_a_removed_node_is_unknown_until_it_is_deleted(
    api: ApiUnderTest, keeper: FakeKeeper
) -> None:
    await create(api)
    await idle(api)
    refused = await api.http.delete("/nodes/node-1")
    assert (refused.status_code, "arena" in refused.text) == (409, True)
    assert (await api.http.delete("/nodes/node-1", params={"force": True})).status_code == 204
    found = (await api.http.get("/instances/arena")).json()
    assert (found["state"], found["reason"]) == ("unknown", "node_removed")
    assert "was removed" in (await act(api, "start", None, 409))["detail"]
    await remove(api)
    await until(api, lambda found: found.get("code") == "not_found")
    told = [message for kind, message, _ in await events(api) if kind == "deleted"]
    assert told == ["node node-1 was removed; what was on its machine stays there: container c-1"]


async def test_the_list_is_filtered_and_has_pages(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    for name in ("a", "b", "c"):
        await create(api, id=name, labels={"game": name}, group="g" if name == "c" else None, desired="stopped")
    first = (await api.http.get("/instances", params={"limit": 2})).json()
    rest = (await api.http.get("/instances", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == ["a", "b", "c"]
    for query, ids in (("label=game=b", ["b"]), ("group=g", ["c"]), ("prefix=a", ["a"]), ("node=node-2", [])):
        assert [item["id"] for item in (await api.http.get(f"/instances?{query}")).json()["items"]] == ids


async def test_edits_make_no_revision(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    body = {"name": "New", "labels": {"a": "b"}, "expires_at": "2099-01-01T00:00:00Z"}
    found = (await api.http.patch("/instances/arena", json=body)).json()
    assert (found["name"], found["labels"], found["revision"]) == ("New", {"a": "b"}, 1)
    assert found["expires_at"].startswith("2099-01-01")
    for wrong in (
        *(b'{"expires_at": "2020-01-01T00:00:00Z"}', b'{"name": null}', b'{"node": "node-2"}'),
        *(b'{"expires_at": "9999-12-31T23:59:59-12:00"}', b'{"expires_at": "9000-01-01T00:00:00Z"}'),
        *(b'{"labels": {"a": "\\ud800"}}', b'{"labels": {"\\udfff": "a"}}'),
    ):
        answer = await api.http.patch("/instances/arena", content=wrong, headers={"content-type": "application/json"})
        assert answer.status_code == 422, wrong


async def test_a_row_is_the_outbox_of_its_start(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    """Temporal did not hear of it: the process died between the commit and the call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.process.services.instances.rows, "_tell_start", lambda instance: asyncio.sleep(0))
        await create(api)
    async with api.database.write() as session:
        row = await InstanceRepository(session).get("arena")
        row.updated_at -= timedelta(minutes=1)
    await api.process.instances.reconcile()
    assert (await idle(api))["state"] == "ready"
