"""Grants over REST: who holds them sees and does what they say, and nothing of others'."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from gamekeeper.db.models import ContainerRow, InstanceRevisionRow, InstanceRow, RunRow, StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.grant import GrantRepository
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.guests import a_guest
from tests.hang import HANG_SECONDS

CONTAINER = {"image": "debian:12"}
STEP = {"name": "hello", "node": "node-1", "container": CONTAINER}


async def add_instance(api: ApiUnderTest, id_: str, owner: str = "", **labels: str) -> None:
    async with api.database.write() as session:
        session.add(InstanceRow(id=id_, name=id_, node_id="node-1", labels=labels, owner=owner, started_workflow=True))
        await session.flush()
        session.add(InstanceRevisionRow(instance_id=id_, revision=1, spec={"container": CONTAINER}))


async def add_run(api: ApiUnderTest, id_: str, pipeline: str, group: str | None = None, **labels: str) -> None:
    row = RunRow(id=id_, pipeline=pipeline, labels=labels, concurrency_group=group, state="running")
    async with api.database.write() as session:
        session.add(row)
        await session.flush()
        session.add(StepRow(run_id=id_, name="hello", node_id="node-1"))


def pipeline(name: str, **fields: Any) -> dict[str, Any]:
    return {"spec": {"version": 1, "name": name, "steps": [STEP]} | fields}


async def test_a_guest_sees_what_it_was_given_and_nothing_else(api: ApiUnderTest) -> None:
    await api.add_node()
    await api.add_node("node-2", labels={"team": "blue"})
    for name in ("blue", "red"):
        await add_instance(api, f"{name}-1", team=name)
        await add_run(api, f"00000000{name:0>8}"[-16:].replace("l", "1"), name, f"group-{name}", team=name)
        assert (await api.http.post("/pipelines", json=pipeline(name, labels={"team": name}))).status_code == 201
    guest = await a_guest(api)
    for path in ("/nodes", "/instances", "/runs", "/pipelines", "/events", "/schedules", "/run-groups"):
        assert (await guest.get(path)).status_code == 403, path
    await guest.may("see", labels={"team": "blue"})
    assert await guest.ids("/nodes") == ["node-2"]
    assert await guest.ids("/instances") == ["blue-1"]
    assert await guest.ids("/runs", "pipeline") == ["blue"]
    assert await guest.ids("/pipelines", "name") == ["blue"]
    assert await guest.ids("/run-groups", "name") == ["group-blue"]
    assert (await guest.get("/run-groups", name="group-red")).json()["items"][0]["running"] == []
    kinds = {(event["kind"], event["node"], event["message"]) for event in (await guest.get("/events")).json()["items"]}
    own = {("key.made", "", "guest"), ("grant.made", "", f"key:{guest.id}: see on all team=blue")}
    assert kinds == own | {("node.created", "node-2", ""), ("pipeline.stored", "", "blue version 1")}


async def test_what_is_hidden_is_as_what_is_not_there(api: ApiUnderTest) -> None:
    await api.add_node()
    await add_instance(api, "red-1")
    await add_run(api, "00000000000000aa", "red")
    await api.http.post("/pipelines", json=pipeline("red"))
    guest = await a_guest(api)
    await guest.may("developer", kind="all", labels={"team": "blue"})
    paths = [
        ("/nodes/{}", "node-1"),
        ("/instances/{}", "red-1"),
        ("/runs/{}", "00000000000000aa"),
        ("/pipelines/{}", "red"),
    ]
    for path, name in paths:
        for method in ("GET", "DELETE"):
            if path == "/runs/{}" and method == "DELETE":
                continue
            hidden = await guest.http.request(method, path.format(name))
            absent = await guest.http.request(method, path.format("nobody"))
            assert hidden.status_code == absent.status_code == 404, path
            assert hidden.text.replace(name, "nobody") == absent.text
        if path != "/runs/{}":
            by_admin = await api.http.get(path.format("nobody"))
            assert by_admin.json() == absent.json()


async def test_what_is_seen_and_not_to_be_touched_says_which_verb_is_missing(api: ApiUnderTest) -> None:
    await add_instance(api, "arena")
    guest = await a_guest(api)
    await guest.may("see", kind="instance", ids=["arena"])
    answer = await guest.http.post("/instances/arena/stop")
    assert answer.status_code == 403
    assert answer.json()["detail"] == 'the API key "guest" (guest) lacks the verb "power" on instance "arena"'
    command = f"gamekeeper grant make key:{guest.id} --verb power --on instance --id arena"
    assert answer.json()["hint"].endswith(f"or an admin gives it: {command}")


async def test_ones_own_is_what_the_key_made_and_not_what_its_name_made(api: ApiUnderTest) -> None:
    await api.add_node(labels={"pool": "guests"})
    await api.add_node("node-2")
    first, second = await a_guest(api, "one"), await a_guest(api, "two")
    for guest in (first, second):
        await guest.may("developer", kind="instance", own=True)
    body = {"id": "mine", "container": CONTAINER}
    refused = await first.http.post("/instances", json=body | {"node": "node-1"})
    assert refused.status_code == 422
    assert refused.json()["problems"][0]["code"] == "unknown_node"
    await first.may("run", kind="node", labels={"pool": "guests"})
    assert (await first.http.post("/instances", json=body | {"node": "node-2"})).status_code == 422
    made = await first.http.post("/instances", json=body | {"node": "node-1"})
    assert made.status_code == 201, made.text
    assert await first.ids("/instances") == ["mine"]
    assert await second.ids("/instances") == []
    assert (await second.http.post("/instances/mine/stop")).status_code == 404
    await second.may("run", kind="node")
    taken = await second.http.post("/instances", json=body | {"node": "node-1"})
    assert (taken.status_code, taken.json()["code"]) == (409, "id_taken")
    assert "mine" in {event["instance"] for event in (await first.get("/events")).json()["items"]}
    assert {event["instance"] for event in (await second.get("/events")).json()["items"]} <= {""}


async def test_labels_of_an_instance_open_nothing_to_its_owner(api: ApiUnderTest) -> None:
    guest = await a_guest(api)
    await add_instance(api, "mine", f"key:{guest.id}")
    await guest.may("see", "edit", kind="instance", own=True)
    await guest.may("shell", kind="instance", labels={"team": "red"})
    assert (await guest.http.patch("/instances/mine", json={"labels": {"team": "blue"}})).status_code == 200
    refused = await guest.http.patch("/instances/mine", json={"labels": {"team": "red"}})
    assert refused.status_code == 403
    assert 'would get the verb "shell"' in refused.json()["detail"]


async def test_a_pipeline_that_is_brought_along_stays_within_bounds(api: ApiUnderTest) -> None:
    await api.add_node()
    await api.add_node("node-2")
    await api.http.post("/pipelines", json=pipeline("secret"))
    guest = await a_guest(api)
    await guest.may("developer", kind="pipeline", ids=["mine-*"])
    await guest.may("see", "run", kind="node", ids=["node-2"])
    assert (await guest.http.post("/runs", json=pipeline("mine-a"))).json()["problems"][0]["code"] == "unknown_node"
    fine = {**STEP, "node": "node-2"}
    assert (await guest.http.post("/runs", json=pipeline("other", steps=[fine]))).status_code == 403
    calling = [{"name": "call", "type": "pipeline", "pipeline": {"name": "secret"}}]
    called = await guest.http.post("/runs", json=pipeline("mine-a", steps=calling))
    assert called.json()["problems"][0]["message"] == 'there is no pipeline "secret"'
    by_name = await guest.http.post("/runs", json={"pipeline": "secret"})
    assert (by_name.status_code, by_name.json()["detail"]) == (404, 'there is no pipeline "secret"')
    assert (await guest.http.post("/pipelines/validate", json={"pipeline": "secret"})).status_code == 404
    started = await guest.http.post("/runs", json=pipeline("mine-a", steps=[fine]))
    assert started.status_code == 201, started.text
    assert (await guest.http.post("/pipelines", json=pipeline("other"))).status_code == 403
    stored = await guest.http.post(
        "/pipelines",
        json=pipeline("mine-b", steps=[{**STEP, "node": "${{ args.node }}"}], args={"node": {"type": "string"}}),
    )
    assert stored.status_code == 201, stored.text
    out = await guest.http.post("/runs", json={"pipeline": "mine-b", "args": {"node": "node-1"}})
    assert out.json()["problems"][0]["code"] == "unknown_node"


async def test_a_name_that_others_use_is_theirs(api: ApiUnderTest) -> None:
    await api.add_node()
    await add_run(api, "00000000000000aa", "build", team="red")
    guest = await a_guest(api)
    await guest.may("developer", labels={"team": "blue"})
    await guest.may("run", kind="node")
    refused = await guest.http.post("/runs", json=pipeline("build", labels={"team": "blue"}))
    assert refused.status_code == 403
    assert "somebody else's pipeline" in refused.json()["detail"]
    assert (await guest.http.post("/runs", json=pipeline("build-blue", labels={"team": "blue"}))).status_code == 201


async def test_containers_of_a_node_are_those_of_runs_that_are_seen(api: ApiUnderTest) -> None:
    await api.add_node()
    await add_run(api, "00000000000000aa", "red")
    await add_run(api, "00000000000000bb", "blue")
    async with api.database.write() as session:
        for run in ("00000000000000aa", "00000000000000bb", ""):
            session.add(
                ContainerRow(node_id="node-1", id=f"c{run}", name=f"gk-{run}", image="i", status="running", run_id=run)
            )
    guest = await a_guest(api)
    await guest.may("see", kind="node")
    await guest.may("see", kind="pipeline", ids=["blue"])
    assert await guest.ids("/nodes/node-1/containers", "run_id") == ["00000000000000bb"]
    assert len((await api.http.get("/nodes/node-1/containers")).json()["items"]) == 3


async def test_metrics_of_all_are_for_who_sees_the_server(api: ApiUnderTest) -> None:
    guest = await a_guest(api)
    headers = {"Authorization": f"Bearer {guest.secret}"}
    assert (await api.anonymous.get("/metrics", headers=headers)).status_code == 403
    await guest.may("see", kind="server")
    assert (await api.anonymous.get("/metrics", headers=headers)).status_code == 200


async def test_an_admin_of_a_part_gives_that_part_and_no_more(api: ApiUnderTest) -> None:
    partly, friend = await a_guest(api, "partly"), await a_guest(api, "friend")
    await partly.may("admin", kind="server")
    await partly.may("operator", kind="instance", ids=["eu-*"])
    body = {"holder": {"kind": "key", "id": friend.id}, "role": "viewer"}
    assert (await partly.http.post("/grants", json=body)).status_code == 403
    made = await partly.http.post("/grants", json=body | {"on": {"kind": "instance", "ids": ["eu-1"]}})
    assert made.status_code == 201, made.text
    wide = await partly.http.post("/grants", json=body | {"on": {"kind": "instance", "ids": ["e*"]}})
    assert wide.status_code == 403
    assert "nobody gives what they have not" in wide.json()["detail"]
    for answer in (
        await partly.http.post("/keys", json={"name": "more", "role": "admin"}),
        await partly.http.post("/keys", json={"name": "more", "role": "viewer"}),
        await partly.http.post(f"/keys/{(await api.http.get('/whoami')).json()['key']['id']}/rotate", json={}),
        await partly.http.delete(f"/keys/{(await api.http.get('/whoami')).json()['key']['id']}"),
    ):
        assert answer.status_code == 403, answer.text
    assert (await partly.http.post("/keys", json={"name": "less", "role": "guest"})).status_code == 201
    wider = await friend.may("viewer")
    assert (await partly.http.delete(f"/grants/{wider}")).status_code == 403
    assert (await partly.http.delete(f"/grants/{made.json()['id']}")).status_code == 204


async def test_a_key_of_somebody_else_is_no_way_to_what_they_may(api: ApiUnderTest) -> None:
    partly = await a_guest(api, "partly")
    await partly.may("admin", kind="server")
    password = "correct horse battery staple"
    users = [
        (await api.http.post("/users", json={"name": name, "role": role, "password": password})).json()["id"]
        for name, role in (("boss", "admin"), ("nobody", "guest"))
    ]
    answers = [
        await partly.http.post("/keys", json={"name": f"of-{user}", "role": "admin", "user": user}) for user in users
    ]
    assert [answer.status_code for answer in answers] == [403, 201], answers[1].text
    assert "nobody gives what they have not" in answers[0].json()["detail"]


async def test_a_stream_ends_with_the_grant_that_it_goes_on_by(api: ApiUnderTest) -> None:
    """One that is taken, and one that runs out; what another grant allows goes on."""
    await api.serve_rest()
    await api.add_node()
    guest = await a_guest(api)
    await guest.may("see", kind="node")
    taken = await guest.may("see", kind="instance", ids=["arena"])
    async with followed(api, "/events?follow=true", guest.secret) as events:
        assert (await api.http.delete(f"/grants/{taken}")).status_code == 204
        assert (await last_of(events))["status"] == 403
    ending = await guest.may("see", kind="instance", ids=["lobby"])
    async with followed(api, "/events?follow=true", guest.secret) as events:
        async with api.database.write() as session:
            (await GrantRepository(session).get(ending)).expires_at = utc_now()
        assert (await last_of(events))["status"] == 403
    assert (await guest.get("/nodes")).status_code == 200


@asynccontextmanager
async def followed(api: ApiUnderTest, path: str, secret: str) -> AsyncIterator[httpx.Response]:
    headers = {"Authorization": f"Bearer {secret}"}
    async with (
        asyncio.timeout(HANG_SECONDS),
        httpx.AsyncClient(timeout=None) as client,
        client.stream("GET", f"http://{api.rest_address}/api/v1{path}", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        yield answer


async def last_of(answer: httpx.Response) -> dict[str, Any]:
    last = [event async for event in EventSource(answer).aiter_sse()][-1]
    assert last.event == "refused"
    return dict(json.loads(last.data))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"role": "viewer", "verbs": ["see"]}, 422),
        ({}, 422),
        ({"role": "guest"}, 422),
        ({"verbs": ["fly"]}, 422),
        ({"role": "viewer", "expires_in": "0s"}, 422),
        ({"role": "viewer", "expires_in": "2000d"}, 422),
        ({"role": "viewer", "on": {"kind": "server", "ids": ["a"]}}, 422),
        ({"role": "viewer", "on": {"kind": "instance", "ids": ["*"]}}, 422),
        ({"role": "viewer", "on": {"kind": "planet"}}, 422),
        ({"role": "viewer", "on": {"kind": "node", "own": True}}, 422),
        ({"role": "viewer", "on": {"labels": {"a": "\ud800"}}}, 422),
        ({"role": "viewer", "holder": {"kind": "key", "id": "nobody"}}, 404),
        ({"role": "viewer", "holder": {"kind": "user", "id": "nobody"}}, 404),
        ({"role": "viewer", "holder": {"kind": "god", "id": "x"}}, 422),
        ({"role": "viewer", "on": {"kind": "instance", "ids": ["not-there-yet"], "labels": {"团队": "синий"}}}, 201),
    ],
)
async def test_grants_that_mean_nothing(api: ApiUnderTest, change: dict[str, Any], status: int) -> None:
    guest = await a_guest(api)
    body = {"holder": {"kind": "key", "id": guest.id}} | change
    answer = await api.http.post("/grants", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
