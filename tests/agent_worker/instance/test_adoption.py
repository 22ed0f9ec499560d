"""A service that lived under Docker's restart policy becomes an instance, and is not touched by that."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.dummy_engine import DummyEngine
from agent_worker.node_link.consoles import Consoles
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.instance.state import Desired, InstanceState
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.ports.container_engine import ContainerStatus, StartError
from tests.agent_worker.instance.node import KeptNode
from tests.agent_worker.instance.test_on_docker import server
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS


async def test_a_running_service_is_adopted(docker_node: KeptNode) -> None:
    node, key = docker_node, make_key(step="game")
    owner = make_owner(key=key, node=node.node, kind="service", lifetime="node")
    script = ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]
    new = make_new_container(owner, image=node.image, command=script, restart="unless-stopped")
    container_id = await node.engine.create(new)
    await node.engine.start(container_id)
    before = await node.engine.find(container_id)

    outcome = await node.order(spec=server(node), adopted=key)
    assert outcome.is_ready
    assert outcome.status.container_id == container_id
    after = await node.engine.find(container_id)
    assert before is not None
    assert after is not None
    assert (after.started_at, after.status) == (before.started_at, ContainerStatus.RUNNING)
    assert node.keeper.adopts(key)
    assert isinstance(node.engine, DockerEngine)
    found = await node.engine._call(node.engine._api.inspect_container, container_id)
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "no"

    await node.order(Desired.STOPPED, spec=server(node))
    await node.order(spec=server(node))
    again = await node.engine.find(container_id)
    assert again is not None
    assert again.status is ContainerStatus.RUNNING
    updated = await node.order(revision=2, spec=server(node))
    assert (updated.status.state, updated.status.revision) == (InstanceState.READY, 2)
    async with asyncio.timeout(HANG_SECONDS):
        while node.keeper.adopts(key):
            await asyncio.sleep(0.05)
    assert await node.engine.find(container_id) is None


async def test_a_console_finds_the_container_of_the_service_that_it_was(node: KeptNode, dummy: DummyEngine) -> None:
    key = make_key(step="game")
    new = make_new_container(make_owner(key=key, kind="service", lifetime="node"), environment={"DUMMY_SLEEP": "60"})
    container_id = await dummy.create(new)
    await dummy.start(container_id)
    assert (await node.order(adopted=key)).status.container_id == container_id
    consoles = Consoles(dummy, cast(Any, None), NodePolicy(), node.keeper.names_of)
    assert (await consoles._find(InstanceKey(instance="game", revision=1))).id == container_id
    with pytest.raises(StartError, match="gone"):
        await consoles._find(InstanceKey(instance="game", revision=2))
    await node.order(revision=2)
    assert (await consoles._find(InstanceKey(instance="game", revision=2))).id != container_id
