"""A revision that comes up beside the one before, on the real engine."""

from __future__ import annotations

import asyncio

from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.domain.language.step import Strategy
from tests.agent_worker.instance.node import KeptNode
from tests.agent_worker.instance.test_on_docker import server
from tests.hang import HANG_SECONDS

UNHEALTHY = {"test": ["CMD-SHELL", "exit 1"], "interval": "0.2s", "retries": 1}


async def test_the_new_one_is_ready_before_the_old_one_stops(docker_node: KeptNode) -> None:
    node = docker_node
    check = {"test": ["CMD-SHELL", "[ -e /ready ]"], "interval": "0.2s"}
    spec = server(node, "sleep 2; touch /ready; trap 'exit 0' TERM; sleep 600 & wait", container={"healthcheck": check})
    await node.order(spec=server(node, container={"ports": ["0:80"]}))
    old = await node.found()
    outcome = await node.order(revision=2, spec=spec, strategy=Strategy.BLUE_GREEN)
    assert (outcome.is_ready, outcome.status.revision) == (True, 2)
    assert {info.name for info in await node.running()} == {node.container(2)}
    ended = await node.engine.find(old.id)
    new = await node.found(2)
    assert new.started_at is not None
    if ended is not None:  # not tidied up yet
        assert ended.finished_at is not None
        assert ended.finished_at > new.started_at
    told = [(status.state.value, status.revision) for status in node.told if status.serial == 2]
    assert ("stopping", 1) not in told
    assert told[-1] == ("ready", 2)


async def test_one_that_is_not_ready_in_time_is_removed_and_the_old_one_was_never_touched(
    docker_node: KeptNode,
) -> None:
    node = docker_node
    await node.order(spec=server(node))
    old = await node.found()
    spec = server(node, ready={"within": "1s"}, container={"healthcheck": UNHEALTHY})
    outcome = await node.order(revision=2, spec=spec, strategy=Strategy.BLUE_GREEN)
    status = outcome.status
    assert (outcome.is_ready, status.state, status.revision) == (False, InstanceState.READY, 1)
    assert (status.reason, status.message[:20]) == (InstanceReason.UNHEALTHY, "revision 2 is not up")
    assert await node.found() == old
    async with asyncio.timeout(HANG_SECONDS):
        while await node.engine.find(node.container(2)) is not None:
            await asyncio.sleep(0.05)
    assert (await node.order()).is_ready
    assert await node.found() == old


async def test_a_hook_that_holds_the_old_one_lets_it_go_on(docker_node: KeptNode) -> None:
    node = docker_node
    hook = {"command": ["sh", "-c", "echo no room; exit 3"], "hold": True}
    await node.order(spec=server(node, hooks={"pre_stop": hook}))
    old = await node.found()
    outcome = await node.order(revision=2, spec=server(node), strategy=Strategy.BLUE_GREEN)
    status = outcome.status
    assert (status.state, status.reason, status.revision) == (InstanceState.READY, InstanceReason.HOOK, 1)
    assert "no room" in status.message
    assert [info.id for info in await node.running()] == [old.id]
