"""Steps that describe their nodes by labels get them when their run is planned. On SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.control_plane.intake.plan import RunPlanner
from gamekeeper.control_plane.intake.submission import Submission
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRow, NodeRow
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.errors import SpecError

POOL = {"labels": {"pool": "a"}}
SPREAD = POOL | {"spread": "node"}


@pytest.fixture
async def nodes(database: Database) -> Database:
    """``n1`` and ``n2`` are in pool a, ``n2`` is larger; ``n3`` is in pool b, and away."""
    async with database.write() as session:
        for number, (pool, rack, cpus, status) in enumerate(
            [("a", "1", 4, "online"), ("a", "2", 8, "online"), ("b", "2", 4, "offline")], start=1
        ):
            session.add(
                NodeRow(
                    id=f"n{number}",
                    name=f"n{number}",
                    labels={"pool": pool, "rack": rack},
                    status=status,
                    capacity={"cpus": cpus, "memory_bytes": 2**33},
                    policy={},
                )
            )
    return database


def step(name: str, node: Any, **fields: Any) -> dict[str, Any]:
    container = {"image": "i"} | fields.pop("container", {})
    return {"name": name, "node": node, "container": container} | fields


def cpus(count: str) -> dict[str, Any]:
    return {"deploy": {"resources": {"limits": {"cpus": count}}}}


async def plan(database: Database, *steps: dict[str, Any], **fields: Any) -> ResolvedPipeline:
    spec = {"version": 1, "name": "p", "steps": list(steps)} | fields
    planned = await RunPlanner(database).plan(Submission(spec=spec), node_wait=10)
    return planned.pipeline


async def where(database: Database, *steps: dict[str, Any], **fields: Any) -> dict[str, str]:
    resolved = await plan(database, *steps, **fields)
    assert all(each.selector is None for each in resolved.all_steps())
    return {each.name: each.node for each in resolved.all_steps()}


async def test_steps_of_one_description_share_a_node(nodes: Database) -> None:
    found = await where(nodes, *[step(name, POOL) for name in "abcd"], step("named", "n1"))
    assert found == dict.fromkeys("abcd", "n2") | {"named": "n1"}


async def test_steps_are_spread_or_packed_where_they_ask_for_it(nodes: Database) -> None:
    assert sorted((await where(nodes, *[step(name, SPREAD) for name in "abcd"])).values()) == ["n1", "n1", "n2", "n2"]
    packed = await where(nodes, *[step(name, POOL | {"pack": "node"}) for name in "abcd"])
    assert packed == dict.fromkeys("abcd", "n1")
    racks = await where(nodes, *[step(name, {"spread": "rack"}) for name in "ab"])
    assert sorted(racks.values()) == ["n1", "n2"]


async def test_the_defaults_may_describe_a_node(nodes: Database) -> None:
    spec = {"defaults": {"node": {"labels": {"pool": "${{ args.pool }}"}}}, "args": {"pool": "a"}}
    resolved = await plan(
        nodes, {"name": "a", "container": {"image": "i", "environment": {"N": "${{ node.id }}"}}}, **spec
    )
    assert (resolved.steps[0].node, resolved.steps[0].spec.environment) == ("n2", {"N": "n2"})


async def test_the_room_that_instances_hold_is_seen(nodes: Database) -> None:
    assert await where(nodes, step("a", POOL, container=cpus("5"))) == {"a": "n2"}
    async with nodes.write() as session:
        (await session.get_one(NodeRow, "n2")).mode = "maintenance"
    assert await where(nodes, step("a", POOL, container=cpus("3"))) == {"a": "n1"}
    assert await where(nodes, step("a", POOL, container=cpus("5"))) == {"a": "n2"}  # it waits there


async def test_what_passes_is_waited_for(nodes: Database) -> None:
    assert await where(nodes, step("a", {"labels": {"pool": "b"}})) == {"a": "n3"}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (step("a", {"labels": {"pool": "z"}}), 'step "a" fits on no node: n1: it has no label pool=z | n2:'),
        (step("a", POOL, container=cpus("9")), "n1: 4 of 4 CPUs are free, 9 are asked for | n2: 8 of 8 CPUs"),
        (step("a", POOL, container={"privileged": True}), "forbids it: privileged is not in the policy"),
    ],
)
async def test_what_no_node_can_take_is_refused(nodes: Database, bad: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as refused:
        await plan(nodes, step("fine", POOL), bad)
    (problem,) = refused.value.problems
    assert (problem.path, problem.code) == ("steps[1].node", "never_fits")
    assert words in problem.message


async def test_a_disabled_pool_takes_nothing(nodes: Database) -> None:
    async with nodes.write() as session:
        (await session.get_one(NodeRow, "n3")).mode = "disabled"
    with pytest.raises(SpecError, match="n3: it is disabled"):
        await plan(nodes, step("a", {"labels": {"pool": "b"}}))


async def test_a_service_that_stays_up_stays_where_it_is(nodes: Database) -> None:
    service = step("web", POOL, type="service", lifetime="node")
    assert await where(nodes, service) == {"web": "n2"}
    async with nodes.write() as session:
        session.add(InstanceRow(id="p-web", pipeline="p", node_id="n1"))
    assert await where(nodes, service) == {"web": "n1"}
    async with nodes.write() as session:
        session.add(InstanceRow(id="guard", node_id="n2", labels={"game": "arena"}))
    apart = POOL | {"anti_affinity": {"game": "arena"}}
    assert await where(nodes, step("a", apart)) == {"a": "n1"}
