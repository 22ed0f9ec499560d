"""Networks that instances share, their limits, ports and volumes, on the real engine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.log.log import LogLine
from tests.agent_worker.instance.node import KeptNode
from tests.agent_worker.instance.test_on_docker import server
from tests.hang import HANG_SECONDS


async def inspected(node: KeptNode) -> Any:
    assert isinstance(node.engine, DockerEngine)
    return await node.engine._call(node.engine._api.inspect_container, node.container())


async def test_limits_are_always_set_and_one_network_is_shared(docker_node: KeptNode) -> None:
    node = docker_node
    await node.order(spec=server(node, container={"volumes": ["data:/data"]}))
    found = await inspected(node)
    host = found["HostConfig"]
    assert host["PidsLimit"] == 4096
    assert host["Memory"] > 0
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert host["Binds"] == [f"gk-i-{node.instance}.data:/data"]
    assert list(found["NetworkSettings"]["Networks"]) == ["gk-instances"]
    assert node.instance in found["NetworkSettings"]["Networks"]["gk-instances"]["Aliases"]
    gone = await node.order(Desired.REMOVED, volumes=True)
    assert gone.status.state is InstanceState.DELETED
    assert isinstance(node.engine, DockerEngine)
    volumes = await node.engine._call(node.engine._api.volumes, filters={"name": f"gk-i-{node.instance}"})
    assert not volumes.get("Volumes")


async def test_a_volume_goes_though_the_engine_is_still_removing_who_had_it(docker_node: KeptNode) -> None:
    """The one before an update, whose removal goes on when the next order breaks the care for it off."""
    node, many = docker_node, "mkdir /many && cd /many && seq 30000 | xargs touch"
    node.logs.are_handed_over = False  # so that the keeper leaves it
    policy: dict[str, Any] = {"restart": {"policy": "no"}, "container": {"volumes": ["data:/data"]}}
    await node.order(spec=server(node, many, **policy))
    old = await node.found()
    spec = server(node, container={"volumes": ["data:/data"]})
    await node.order(revision=2, spec=spec)
    await node.order(Desired.STOPPED, revision=2, spec=spec, kill=True)
    assert isinstance(node.engine, DockerEngine)
    removal = asyncio.create_task(node.engine._call(node.engine._api.remove_container, old.id))
    async with asyncio.timeout(HANG_SECONDS):
        while (info := await node.engine.find(old.id)) is not None and info.status != "removing":
            await asyncio.sleep(0)
    gone = await node.order(Desired.REMOVED, revision=2, spec=spec, volumes=True)
    assert (gone.status.state, gone.status.message) == (InstanceState.DELETED, "")
    await removal


async def test_names_resolve_inside_a_group(docker_node: KeptNode) -> None:
    node, group = docker_node, docker_node.instance
    await node.order(spec=server(node, group=group))
    raw = {"cap_add": ["NET_RAW"]}
    other = node.next_order(
        spec=server(node, f"ping -c 1 -W 5 {node.instance} && sleep 600", group=group, container=raw)
    )
    other = other.model_copy(update={"instance": f"{node.instance}-b", "serial": 1})
    outcome = await node.keeper.carry_out(other)
    lines: Sequence[LogLine] = []
    async with asyncio.timeout(HANG_SECONDS):
        while not any(b"round-trip" in line.data for line in lines):
            await asyncio.sleep(0.1)
            lines = await node.engine.last_log_lines(outcome.status.container_id, 1)


async def test_a_network_that_somebody_removed_is_made_again(docker_node: KeptNode) -> None:
    node, group = docker_node, docker_node.instance
    spec = server(node, group=group)
    await node.order(spec=spec)
    await node.order(Desired.STOPPED, spec=spec)
    assert isinstance(node.engine, DockerEngine)
    await node.engine._call(node.engine._api.remove_network, f"gk-g-{group}")
    assert (await node.order(spec=spec)).is_ready


async def test_a_network_that_goes_before_the_start_is_made_again(
    docker_node: KeptNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody prunes the engine between the container and its first start: no fault is told."""
    node, engine = docker_node, docker_node.engine
    assert isinstance(engine, DockerEngine)
    name, start = f"gk-g-{node.instance}", engine.start

    async def pruned(container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        await engine._call(engine._api.remove_network, name)
        await start(container_id, secrets)

    monkeypatch.setattr(engine, "start", pruned)
    assert (await node.order(spec=server(node, group=node.instance))).is_ready
    assert node.states == ["preparing", "starting", "ready"]
    assert not [status for status in node.told if status.reason]


async def test_a_network_that_another_agent_makes_at_the_same_time_is_no_fault(docker_node: KeptNode) -> None:
    """The engine starts nothing in a network of whose name it has two, for as long as it has."""
    node, engine = docker_node, docker_node.engine
    assert isinstance(engine, DockerEngine)
    await engine.ensure_group(node.instance)
    labels = {"gamekeeper.node": node.node, "gamekeeper.group": node.instance}
    engine._api.create_network(f"gk-g-{node.instance}", labels=labels, check_duplicate=False)
    assert (await node.order(spec=server(node, group=node.instance))).is_ready
    assert not [status for status in node.told if status.reason]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_port_of_somebody_else_is_named(docker_node: KeptNode, kind: socket.SocketKind) -> None:
    node = docker_node
    word = "tcp" if kind is socket.SOCK_STREAM else "udp"
    with socket.socket(socket.AF_INET, kind) as held:
        held.bind(("0.0.0.0", 0))
        if kind is socket.SOCK_STREAM:
            held.listen()
        port = held.getsockname()[1]
        order = node.next_order(spec=server(node, container={"ports": [f"{port}:80/{word}"]}))
        running = asyncio.create_task(node.keeper.carry_out(order))
        status = await node.until(lambda status: status.reason is InstanceReason.PORT_TAKEN)
        assert f"port {port}/{word} is held by process" in status.message
    assert (await running).is_ready  # it is tried again
