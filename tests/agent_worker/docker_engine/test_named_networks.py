"""A network has its name alone, whoever makes it at the same time, and stays for whoever is to start in it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from agent_worker.docker_engine import DockerEngine
from gamekeeper.ports.container_engine import group_network
from tests.factories import make_new_container, make_owner
from tests.fixtures.docker import TEST_IMAGE
from tests.fixtures.leftovers import remove_leftovers

AT_ONCE = 4


@pytest.fixture
async def agents(test_image: str) -> AsyncIterator[list[DockerEngine]]:
    """Of several nodes on one engine."""
    made = [DockerEngine(f"named-{uuid.uuid4().hex[:8]}") for _ in range(AT_ONCE)]
    yield made
    for engine in made:
        engine.close()
    for engine in made:  # again, for a network that one has made and another used
        await asyncio.to_thread(remove_leftovers, engine._node)


def named(engine: DockerEngine, name: str) -> list[str]:
    found: list[dict[str, Any]] = engine._api.networks(names=[f"^{name}$"])
    return [network["Id"] for network in found]


def twin(engine: DockerEngine, group: str) -> str:
    """As an agent makes it that did not see the first one yet."""
    labels = {"gamekeeper.node": engine._node, "gamekeeper.group": group}
    made = engine._api.create_network(group_network(group), labels=labels, check_duplicate=False)
    return str(made["Id"])


async def made_in(engine: DockerEngine, group: str) -> str:
    owner = make_owner(node=engine._node, kind="service", lifetime="node")
    new = replace(make_new_container(owner, image=TEST_IMAGE, command=["sleep", "600"]), network=group_network(group))
    return await engine.create(new)


async def is_running(engine: DockerEngine, container_id: str) -> bool:
    found = await engine.find(container_id)
    return found is not None and found.status == "running"


async def test_of_many_that_are_made_at_once_one_is_left(agents: list[DockerEngine]) -> None:
    for _ in range(3):
        group, run_id = f"race-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
        await asyncio.gather(*[engine.ensure_group(group) for engine in agents])
        assert len(named(agents[0], group_network(group))) == 1
        await asyncio.gather(*[engine.ensure_network(f"gk-{run_id}", run_id) for engine in agents])
        assert len(named(agents[0], f"gk-{run_id}")) == 1
        ids = await asyncio.gather(*[made_in(engine, group) for engine in agents])
        await asyncio.gather(*[engine.start(item) for engine, item in zip(agents, ids, strict=True)])
        assert all([await is_running(engine, item) for engine, item in zip(agents, ids, strict=True)])


async def test_many_that_join_again_at_once_make_one(agents: list[DockerEngine]) -> None:
    """As after a prune while all were stopped."""
    engine, group = agents[0], f"prune-{uuid.uuid4().hex[:8]}"
    await engine.ensure_group(group)
    ids = [await made_in(engine, group) for _ in range(AT_ONCE)]
    engine._api.remove_network(group_network(group))
    await asyncio.gather(*[engine.start(item) for item in ids])
    assert all([await is_running(engine, item) for item in ids])
    assert len(named(engine, group_network(group))) == 1


async def test_a_twin_of_the_network_keeps_nobody_from_starting(agents: list[DockerEngine]) -> None:
    engine, other, group = agents[0], agents[1], f"twin-{uuid.uuid4().hex[:8]}"
    await engine.ensure_group(group)
    first = await made_in(engine, group)
    twin(other, group)
    await engine.start(first)
    assert await is_running(engine, first)
    (used,) = named(engine, group_network(group))
    twin(other, group)
    second = await made_in(other, group)
    await other.start(second)
    assert await is_running(other, second)
    assert named(engine, group_network(group)) == [used], "containers run in it"


async def test_it_stays_for_a_container_that_never_ran(agents: list[DockerEngine]) -> None:
    """The engine tells no id of the network then, only its name."""
    engine, other, group = agents[0], agents[1], f"new-{uuid.uuid4().hex[:8]}"
    await engine.ensure_group(group)
    made = await made_in(other, group)
    assert group in await engine.remove_unused_groups()
    await other.remove(made)
    assert group not in await engine.remove_unused_groups()
    assert named(engine, group_network(group)) == []


async def test_what_never_ran_is_a_leftover_with_its_network(agents: list[DockerEngine]) -> None:
    engine, group = agents[0], f"left-{uuid.uuid4().hex[:8]}"
    await engine.ensure_group(group)
    made = await made_in(engine, group)
    joined = engine._api.inspect_container(made)["NetworkSettings"]["Networks"][group_network(group)]
    assert joined["NetworkID"] == ""
    gone = await asyncio.to_thread(remove_leftovers, engine._node)
    assert (len(gone), group_network(group) in gone) == (2, True)
