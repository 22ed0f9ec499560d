"""A node shows its room, and goes out of work and back, over REST and by the command."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.control_plane.placement.instance import place_instance
from gamekeeper.db.models import NodeRow
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.demand import Where
from tests.fixtures.api import ApiUnderTest

GIB = 2**30


async def reserve(api: ApiUnderTest, **container: Any) -> None:
    spec = InstanceSpec(container=Container.model_validate({"image": "i"} | container))
    async with api.database.write() as session:
        await place_instance(session, "arena", spec, Where(node="node-1"))


async def test_the_room_of_a_node(api: ApiUnderTest) -> None:
    made = await api.add_node()
    assert made["room"]["cpus"] == {"capacity": None, "reserved": 0, "free": None}  # nothing is known yet
    limits = {"cpus": "1.5", "memory": "1g", "pids": 100}
    await reserve(api, deploy={"resources": {"limits": limits}}, ports=["0:80", "8080:81"])
    override = {"cpus": 4, "memory_bytes": 8 * GIB, "gpus": 1, "port_first": 27_000, "port_last": 27_999}
    edited = await api.http.patch("/nodes/node-1", json={"capacity_override": override})
    room = edited.json()["room"]
    assert room == {
        "cpus": {"capacity": 4, "reserved": 1.5, "free": 2.5},
        "memory_bytes": {"capacity": 8 * GIB, "reserved": GIB, "free": 7 * GIB},
        "pids": {"capacity": None, "reserved": 100, "free": None},
        "gpus": {"nvidia": {"capacity": 1, "reserved": 0, "free": 1}},
        "port_range": "27000-27999",
        "ports_reserved": 2,
    }
    assert (await api.http.get("/nodes/node-1")).json()["room"] == room
    assert [node["room"] for node in (await api.http.get("/nodes")).json()["items"]] == [room]


async def test_a_policy_of_a_newer_version_hides_no_room(api: ApiUnderTest) -> None:
    await api.add_node()
    async with api.database.write() as session:
        (await session.get_one(NodeRow, "node-1")).policy = {"a_key_of_tomorrow": True}
    assert (await api.http.get("/nodes/node-1")).json()["room"]["cpus"]["capacity"] is None


@pytest.mark.parametrize(
    "override", [{"port_first": 30_000}, {"port_last": 70_000}, {"port_first": 0}, {"port_first": 9, "port_last": 8}]
)
async def test_ports_that_are_no_range(refusing_api: ApiUnderTest, override: dict[str, int]) -> None:
    answer = await refusing_api.http.patch("/nodes/node-1", json={"capacity_override": override})
    assert answer.status_code == 422
    assert "are no range" in answer.json()["detail"]


async def test_out_of_work_and_back(api: ApiUnderTest) -> None:
    await api.add_node()
    modes = []
    for verb in ("cordon", "uncordon", "drain"):
        answer = await api.http.post(f"/nodes/node-1/{verb}")
        assert answer.status_code == 200
        modes.append((answer.json()["mode"], answer.json()["drain_until"] is not None))
    assert modes == [("maintenance", False), ("active", False), ("maintenance", True)]
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'


@pytest.mark.parametrize("body", [{"deadline": "soon"}, {"deadline": "400d"}, {"until": "10m"}, []])
async def test_bad_deadlines(refusing_api: ApiUnderTest, body: Any) -> None:
    assert (await refusing_api.http.post("/nodes/node-1/drain", json=body)).status_code == 422


async def test_a_placement_is_tried_and_nothing_is_promised(api: ApiUnderTest) -> None:
    for node, cpus in (("node-1", 4), ("node-2", 8), ("node-3", 1)):
        await api.add_node(node, labels={"pool": "a"})
        await api.http.patch(f"/nodes/{node}", json={"capacity_override": {"cpus": cpus}})
        async with api.database.write() as session:
            (await session.get_one(NodeRow, node)).status = "online"
    container = {"image": "i", "ports": ["0:80"], "deploy": {"resources": {"limits": {"cpus": "2"}}}}
    body = {"id": "arena", "node": {"labels": {"pool": "a"}}, "container": container}
    for _ in range(2):
        answer = await api.http.post("/placement/try", json=body)
        assert answer.json() == {
            "fits": [
                {"node": "node-2", "ports": {"80": 20_000}, "gpus": {}},
                {"node": "node-1", "ports": {"80": 20_000}, "gpus": {}},
            ],
            "left_out": [{"node": "node-3", "why": "1 of 1 CPUs is free, 2 are asked for"}],
            "never": False,
        }
    answer = await api.http.post("/placement/try", json=body | {"node": {"labels": {"pool": "z"}}})
    assert (answer.json()["fits"], answer.json()["never"]) == ([], True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "is missing"),
        ({"node": "node-9", "container": {"image": "i"}}, 'node "node-9" has never registered'),
        ({"container": {"image": "i", "ports": ["web"]}}, "is not a port"),
    ],
)
async def test_what_can_not_be_placed_is_told_by_its_place(api: ApiUnderTest, body: dict[str, Any], words: str) -> None:
    answer = await api.http.post("/placement/try", json=body)
    assert answer.status_code == 422
    assert words in str(answer.json()["problems"])
