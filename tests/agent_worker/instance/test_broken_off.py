"""An order that comes in the middle of a change: what is ready goes on, and nothing is left that no order names."""

from __future__ import annotations

import asyncio

import pytest

from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.domain.language.step import Strategy
from tests.agent_worker.instance.node import KeptNode
from tests.hang import HANG_SECONDS

NEVER_READY = {"healthcheck": {"test": ["CMD", "true"]}, "environment": {"DUMMY_HEALTHY_AFTER": "600"}}


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("is_killed", [False, True], ids=["agent there", "agent killed"])
async def test_the_ready_one_goes_on(node: KeptNode, dummy: DummyEngine, strategy: Strategy, is_killed: bool) -> None:
    first = (await node.order()).status
    never = node.next_order(revision=2, spec=node.spec(container=NEVER_READY), strategy=Strategy.BLUE_GREEN)
    going = asyncio.create_task(node.keeper.carry_out(never))
    await node.until(lambda status: status.state is InstanceState.STARTING and status.revision == 2)
    if is_killed:
        await node.kill()
        going.cancel()
        node.begin()
    outcome = await node.order(revision=3, spec=node.spec(container={"image": "missing"}), strategy=strategy)
    await asyncio.gather(going, return_exceptions=True)
    assert (outcome.is_ready, outcome.status.state, outcome.status.revision) == (False, InstanceState.READY, 1)
    assert outcome.status.container_id == first.container_id
    async with asyncio.timeout(HANG_SECONDS):
        while [info.name for info in await dummy.list_instances()] != [node.container(1)]:
            await asyncio.sleep(0.01)
    assert dummy.starts_of(node.container(1)) == 1


async def test_who_asks_again_while_it_is_restarted_has_the_answer_of_before(
    node: KeptNode, dummy: DummyEngine
) -> None:
    order = node.next_order()
    first = await node.keeper.carry_out(order)
    await dummy.signal(first.status.container_id, "SIGKILL")
    await node.until(lambda status: status.state is InstanceState.READY and status.crash_count == 1)
    await dummy.signal(first.status.container_id, "SIGKILL")
    await node.until(lambda status: status.state is InstanceState.RESTARTING and status.crash_count == 2)
    async with asyncio.timeout(HANG_SECONDS):
        assert (await node.keeper.carry_out(order)).is_ready
