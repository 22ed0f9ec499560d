"""Leavings of tests on the Engine go, whoever's label a network of instances has; those of other nodes stay."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize
from gamekeeper.ports.container_engine import group_network
from tests.factories import make_new_container, make_owner
from tests.fixtures.leftovers import remove_leftovers


@asynccontextmanager
async def engine() -> AsyncIterator[tuple[str, DockerEngine]]:
    """Of a node that leaves all it has made."""
    node = f"leaves-{uuid.uuid4().hex[:8]}"
    made = DockerEngine(node)
    try:
        yield node, made
    finally:
        made.close()
        remove_leftovers(node)


async def server(on: DockerEngine, node: str, image: str, group: str) -> str:
    """A container that runs in the network of a group."""
    await on.ensure_group(group)
    owner = make_owner(node=node, kind="service", lifetime="node")
    new = replace(make_new_container(owner, image=image, command=["sleep", "600"]), network=group_network(group))
    container_id = await on.create(new)
    await on.start(container_id)
    return container_id


async def test_a_network_that_two_nodes_share_goes_with_the_last_one(test_image: str) -> None:
    group = f"shared-{uuid.uuid4().hex[:8]}"
    async with engine() as (first, made_it), engine() as (second, joined_it):
        await server(made_it, first, test_image, group)
        stays = await server(joined_it, second, test_image, group)
        volume = f"gk-i-{first}.data"
        await made_it.ensure_own_volume(volume, first)
        gone = remove_leftovers(first)
        assert (group_network(group) in gone, volume in gone, len(gone)) == (False, True, 2)
        found = await joined_it.find(stays)
        assert found is not None
        assert found.status == "running"
        assert group_network(group) in remove_leftovers(second), "though the label is the first one's"
        assert [remove_leftovers(first), remove_leftovers(second)] == [[], []]


async def test_a_look_into_an_ended_container_goes_too(test_image: str) -> None:
    async with engine() as (node, looking):
        owner = make_owner(node=node)
        ended = await looking.create(make_new_container(owner, image=test_image, command=["true"]))
        await looking.start(ended)
        await looking.wait(ended)
        await looking.look_in(ended, ConsoleRequest("look", owner.key, ("sleep", "600"), False, ConsoleSize()))
        assert len(remove_leftovers(node)) == 2
