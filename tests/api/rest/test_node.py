"""Nodes over REST, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from agent_worker.node_link.membership import Joining, own_key
from agent_worker.node_link.servers import parse_servers
from gamekeeper.errors import UnauthenticatedError
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.certificates import channel
from tests.hang import HANG_SECONDS


async def test_create_and_read(api: ApiUnderTest) -> None:
    made = await api.add_node("gpu-01", location="rack 4", labels={"pool": "arena"})
    assert (made["status"], made["mode"], made["name"], made["version"]) == ("never_seen", "active", "gpu-01", 1)
    answer = await api.http.get("/nodes/gpu-01")
    assert answer.json() == made
    assert answer.headers["etag"] == '"1"'


async def test_duplicate_name(api: ApiUnderTest) -> None:
    await api.add_node("gpu-01")
    answer = await api.http.post("/nodes", json={"id": "gpu-01"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == 'there is a node "gpu-01" already'


async def test_two_at_once_make_one(api: ApiUnderTest) -> None:
    answers = await asyncio.gather(*[api.http.post("/nodes", json={"id": "twin"}) for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


async def test_missing(refusing_api: ApiUnderTest) -> None:
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/enrolment-tokens"),
        ("POST", "/revoke"),
        ("GET", "/containers"),
    ):
        answer = await refusing_api.http.request(method, f"/nodes/nope{path}", json={} if method != "GET" else None)
        assert answer.status_code == 404
        assert answer.json()["detail"] == 'there is no node "nope"'


BAD_NODES: list[dict[str, Any]] = [
    {},
    {"id": "UPPER"},
    {"id": "-a"},
    {"id": "a" * 64},
    {"id": "a", "mode": "asleep"},
    {"id": "a", "colour": "red"},
    {"id": "a", "labels": {"": "x"}},
    {"id": "a", "labels": {"k": "v" * 300}},
    {"id": 5},
    {"id": "a", "name": "x" * 500},
]


@pytest.mark.parametrize("body", BAD_NODES)
async def test_bad_nodes(refusing_api: ApiUnderTest, body: dict[str, Any]) -> None:
    answer = await refusing_api.http.post("/nodes", json=body)
    assert answer.status_code == 422
    assert answer.json()["problems"]


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=0", "limit=501", f"limit={2**63}", "limit=x", "cursor=%21%21", "label=novalue", "status=up"],
)
async def test_bad_queries(refusing_api: ApiUnderTest, query: str) -> None:
    answer = await refusing_api.http.get(f"/nodes?{query}")
    assert answer.status_code == 422, answer.text


async def test_pages_neither_skip_nor_repeat(api: ApiUnderTest) -> None:
    for number in range(7):
        await api.add_node(f"n{number}", labels={"even": str(number % 2 == 0)})
    seen, cursor = [], None
    while True:
        page = (await api.http.get("/nodes", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"n{number}" for number in range(7)]
    even = (await api.http.get("/nodes?label=even=True")).json()["items"]
    assert [item["id"] for item in even] == ["n0", "n2", "n4", "n6"]
    assert (await api.http.get("/nodes?mode=disabled")).json()["items"] == []


async def test_edit_with_etag(api: ApiUnderTest) -> None:
    await api.add_node()
    answer = await api.http.patch("/nodes/node-1", json={"mode": "maintenance"}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["etag"], answer.json()["mode"]) == (200, '"2"', "maintenance")
    stale = await api.http.patch("/nodes/node-1", json={"name": "x"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert stale.json()["detail"] == 'node "node-1" is at version 2, not 1'
    wrong = await api.http.patch("/nodes/node-1", json={"name": "x"}, headers={"If-Match": "abc"})
    assert wrong.status_code == 422
    assert (await api.http.delete("/nodes/node-1", headers={"If-Match": '"1"'})).status_code == 412


async def test_delete(api: ApiUnderTest) -> None:
    await api.add_node()
    await api.http.post("/nodes/node-1/enrolment-tokens", json={})
    assert (await api.http.delete("/nodes/node-1")).status_code == 204
    assert (await api.http.get("/nodes/node-1")).status_code == 404


async def test_enrolment_token_is_good_once(api: ApiUnderTest, tmp_path: Path) -> None:
    await api.add_node()
    identity = await api.enrol()
    assert identity.node_id == "node-1"
    token = (await api.http.post("/nodes/node-1/enrolment-tokens", json={"minutes": 5})).json()["token"]
    joining = Joining(parse_servers(await api.serve_rest()), own_key(tmp_path))
    await joining.join(token)
    for bad in (token, "wrong", ""):
        with pytest.raises(UnauthenticatedError, match="unknown, used or expired"):
            await joining.join(bad)
    assert (await api.http.post("/nodes/node-1/enrolment-tokens", json={"minutes": 100_000})).status_code == 422


async def test_an_agent_brings_its_node_online_with_facts_and_policy(api: ApiUnderTest) -> None:
    await api.add_node()
    agent = await api.start_agent()
    node = (await api.http.get("/nodes/node-1")).json()
    assert (node["status"], node["hardware"]["cpu_model"]) == ("online", "test cpu")
    assert node["capacity"]["cpus"] > 0
    assert node["policy"]["host_paths"] == ["/srv"]
    assert node["system"]["docker_version"] == "dummy"
    await agent.link.close()


async def until_status(api: ApiUnderTest, *statuses: str) -> str:
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            status: str = (await api.http.get("/nodes/node-1")).json()["status"]
            if status in statuses:
                return status
            await asyncio.sleep(0.05)


async def test_silence_is_offline_in_the_end_and_speech_online_again(api: ApiUnderTest) -> None:
    await api.add_node()
    agent = api.make_agent(await api.enrol())
    link = api.background(agent.link.run_forever())
    await until_status(api, "online")
    link.cancel()
    await until_status(api, "suspect")
    await until_status(api, "offline")
    api.background(agent.link.run_forever())
    await until_status(api, "online")


async def test_a_second_agent_takes_over_and_the_first_can_no_longer_write(api: ApiUnderTest) -> None:
    await api.add_node()
    identity = await api.enrol()
    first, second = api.make_agent(identity, "a"), api.make_agent(identity, "b")
    running = api.background(first.link.run_forever())
    await asyncio.wait_for(first.link.connected.wait(), HANG_SECONDS)
    old = first.link.calls.metadata
    running.cancel()
    api.background(second.link.run_forever())
    await asyncio.wait_for(second.link.connected.wait(), HANG_SECONDS)
    from gamekeeper.rpc.v1 import node_link_pb2 as pb
    from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc

    async with channel(api.link_address, identity.good_credentials) as link:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.NodeLinkStub(link).ReportContainers(pb.ReportContainersRequest(), metadata=old)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "epoch 1 is over" in str(caught.value.details())
