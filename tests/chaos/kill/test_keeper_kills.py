"""The agent's keeper is killed at random, again and again, while its servers run on the real engine."""

from __future__ import annotations

import asyncio
import random
import uuid
from pathlib import Path

from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.state import Desired
from gamekeeper.ports.container_engine import ContainerStatus
from tests.agent_worker.instance.node import KeptNode
from tests.agent_worker.instance.test_on_docker import server
from tests.hang import HANG_SECONDS

KILLS = 50
INSTANCES = 3


async def test_fifty_kills_restart_nothing(tmp_path: Path, docker_engine: DockerEngine, test_image: str) -> None:
    node = KeptNode(tmp_path, docker_engine, test_image, docker_engine._node)
    node.begin()
    orders = [new_order(node) for _ in range(INSTANCES)]
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(*[node.keeper.carry_out(order) for order in orders])
    before = {info.id: info.started_at for info in await docker_engine.list_instances()}
    for _ in range(KILLS):
        await asyncio.sleep(random.random() * 0.05)
        await node.kill()
        node.begin()
    async with asyncio.timeout(HANG_SECONDS):
        outcomes = await asyncio.gather(*[node.keeper.carry_out(order) for order in orders])
    assert all(outcome.is_ready and outcome.status.crash_count == 0 for outcome in outcomes)
    assert {info.id: info.started_at for info in await docker_engine.list_instances()} == before
    await node.kill()


async def test_kills_in_the_middle_of_orders_start_nothing_twice(
    tmp_path: Path, docker_engine: DockerEngine, test_image: str
) -> None:
    node = KeptNode(tmp_path, docker_engine, test_image, docker_engine._node)
    node.begin()
    order = new_order(node)
    for serial in range(1, 11):
        revision = 1 + serial // 3
        order = order.model_copy(update={"serial": serial, "revision": revision, "restart": bool(serial % 2)})
        for _ in range(4):
            going = asyncio.create_task(node.keeper.carry_out(order))
            await asyncio.wait({going}, timeout=random.random() * 0.4)
            await node.kill()
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
            node.begin()
        async with asyncio.timeout(HANG_SECONDS):
            outcome = await node.keeper.carry_out(order)
        assert outcome.is_ready, outcome.model_dump_json()
        assert outcome.status.crash_count == 0
        up = [info for info in await docker_engine.list_instances() if info.status is ContainerStatus.RUNNING]
        assert [info.id for info in up] == [outcome.status.container_id]
    await node.kill()


def new_order(node: KeptNode) -> InstanceOrder:
    spec = server(node)
    name = f"chaos-{uuid.uuid4().hex[:8]}"
    return InstanceOrder(instance=name, node=node.node, serial=1, desired=Desired.RUNNING, revision=1, spec=spec)
