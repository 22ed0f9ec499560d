"""The keeper on the real engine: processes that ignore, crash, flood and are taken away."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.ports.container_engine import ContainerStatus
from tests.agent_worker.instance.node import KeptNode
from tests.factories import make_new_container, make_owner
from tests.hang import HANG_SECONDS

DEAF = "trap '' TERM INT; echo up; while :; do sleep 1; done"
READER = 'while read line; do echo "got $line"; [ "$line" = stop ] && exit 0; done'


def server(node: KeptNode, script: str = "trap 'exit 0' TERM; sleep 600 & wait", **parts: Any) -> InstanceSpec:
    container = {"command": ["sh", "-c", script]} | parts.pop("container", {})
    return node.spec(container=container, **parts)


async def test_life_of_an_instance(docker_node: KeptNode) -> None:
    node = docker_node
    assert (await node.order(spec=server(node))).is_ready
    first = await node.found()
    stopped = await node.order(Desired.STOPPED, spec=server(node))
    assert (stopped.status.state, stopped.status.exit_code) == (InstanceState.STOPPED, 0)
    assert (await node.order(spec=server(node))).is_ready
    assert (await node.found()).id == first.id
    assert (await node.order(revision=2, spec=server(node))).status.revision == 2
    assert (await node.order(Desired.REMOVED, revision=2, spec=server(node))).status.state is InstanceState.DELETED
    assert await node.engine.list_instances() == []


async def test_a_server_that_ignores_all_signals_is_killed_at_last(docker_node: KeptNode) -> None:
    node = docker_node
    spec = server(node, DEAF, stop={"signal": "SIGINT", "grace": "0.2s"})
    await node.order(spec=spec)
    stopped = await node.order(Desired.STOPPED, spec=spec)
    assert (stopped.status.state, stopped.status.exit_code) == (InstanceState.STOPPED, 137)
    rungs = [status.message for status in node.told if status.state is InstanceState.STOPPING]
    assert [rung.partition(":")[0] for rung in rungs] == [
        "asked to stop by SIGINT",
        "it did not end within 0.2 s",
        "it did not end",
    ]


async def test_a_line_on_its_console_stops_it(docker_node: KeptNode) -> None:
    node = docker_node
    spec = server(node, READER, stop={"command": "stop"})
    await node.order(spec=spec)
    stopped = await node.order(Desired.STOPPED, spec=spec)
    assert (stopped.status.state, stopped.status.exit_code) == (InstanceState.STOPPED, 0)
    (line,) = await node.engine.last_log_lines((await node.found()).id, 1)
    assert line.data == b"got stop\n"


async def test_an_interrupt_is_typed_into_a_terminal(docker_node: KeptNode) -> None:
    node = docker_node
    # the shell of process 1 has no handler, so that a signal alone does nothing: its child gets the terminal's own
    spec = server(node, "echo up; sleep 600; exit 7", stop={"command": "^C"}, container={"tty": True})
    await node.order(spec=spec)
    await node.has_child()
    stopped = await node.order(Desired.STOPPED, spec=spec)
    assert stopped.status.state is InstanceState.STOPPED
    assert stopped.status.exit_code in (7, 130)


async def test_a_crash_is_started_again_and_the_engine_never_does(docker_node: KeptNode) -> None:
    node = docker_node
    spec = server(node, container={"restart": "always"})
    await node.order(spec=spec)
    found = await node.found()
    await node.engine.signal(found.id, "SIGKILL")
    await node.until(lambda status: status.state is InstanceState.READY and status.crash_count == 1)
    again = await node.found()
    assert (again.id, again.restart_count) == (found.id, 0)


async def test_a_command_that_does_not_exist_is_told(docker_node: KeptNode) -> None:
    node = docker_node
    outcome = await node.order(spec=node.spec(container={"command": ["no-such-command"]}))
    assert outcome.status.state is InstanceState.FAILED
    assert "no-such-command" in outcome.status.message


async def test_a_container_removed_by_hand_is_made_again(docker_node: KeptNode) -> None:
    node = docker_node
    await node.order(spec=server(node))
    found = await node.found()
    assert isinstance(node.engine, DockerEngine)
    await node.engine._call(node.engine._api.remove_container, found.id, force=True)
    await node.until(lambda status: status.reason is InstanceReason.REMOVED_OUTSIDE)
    await node.until(lambda status: status.state is InstanceState.READY and status.container_id != found.id)


async def test_hooks_run_inside_and_a_hanging_one_is_ended(docker_node: KeptNode) -> None:
    node = docker_node
    hooks = {
        "post_start": {"command": ["sh", "-c", "echo hooked > /proc/1/fd/1"]},
        "pre_stop": {"command": ["sleep", "600"], "timeout": "0.3s"},
    }
    spec = server(node, hooks=hooks)
    assert (await node.order(spec=spec)).is_ready
    (line,) = await node.engine.last_log_lines((await node.found()).id, 1)
    assert line.data == b"hooked\n"
    stopped = await node.order(Desired.STOPPED, spec=spec)
    assert stopped.status.state is InstanceState.STOPPED
    assert any("hook pre_stop was ended" in status.message for status in node.told)


async def test_a_hook_that_fails_may_hold_the_stop(docker_node: KeptNode) -> None:
    node = docker_node
    hook = {"command": ["sh", "-c", "echo no room; exit 3"], "hold": True}
    spec = server(node, hooks={"pre_stop": hook})
    await node.order(spec=spec)
    held = await node.order(Desired.STOPPED, spec=spec)
    assert (held.status.state, held.status.reason) == (InstanceState.READY, InstanceReason.HOOK)
    assert "no room" in held.status.message
    assert (await node.found()).status is ContainerStatus.RUNNING
    killed = await node.order(Desired.STOPPED, spec=spec, kill=True)
    assert killed.status.state is InstanceState.STOPPED


async def test_a_health_check_that_never_passes_is_a_failure(docker_node: KeptNode) -> None:
    node = docker_node
    check = {"test": ["CMD-SHELL", "echo not yet; exit 1"], "interval": "0.2s", "retries": 1}
    spec = server(node, ready={"within": "2s"}, container={"healthcheck": check})
    outcome = await node.order(spec=spec)
    assert (outcome.status.state, outcome.status.reason) == (InstanceState.FAILED, InstanceReason.UNHEALTHY)
    assert "not yet" in outcome.status.message
    assert (await node.found()).status is ContainerStatus.EXITED


async def test_a_volume_that_another_container_has_stays_and_is_told(docker_node: KeptNode) -> None:
    """Somebody's backup mounts it, say. What was asked for and did not happen is said, and how it is done later."""
    node, volume = docker_node, f"gk-i-{docker_node.instance}.data"
    spec = server(node, container={"volumes": ["data:/data", "maps:/maps"]})
    await node.order(spec=spec)
    backup = make_new_container(
        make_owner(node=node.node), image=node.image, command=["true"], volumes=[f"{volume}:/data"]
    )
    holding = await node.engine.create(backup)
    gone = (await node.order(Desired.REMOVED, spec=spec, volumes=True)).status
    assert (gone.state, gone.reason) == (InstanceState.DELETED, InstanceReason.ENGINE)
    assert f"volume {volume} stays: container {backup.owner.key.container_name} has it" in gone.message
    assert gone.message.endswith(f"docker volume rm {volume}")
    await node.engine.remove(holding)
    again = (await node.order(Desired.REMOVED, spec=spec, volumes=True)).status
    assert (again.state, again.message) == (InstanceState.DELETED, "")


async def test_two_power_actions_at_once_start_one_process(docker_node: KeptNode) -> None:
    node = docker_node
    orders = [node.next_order(spec=server(node), restart=bool(number % 2)) for number in range(6)]
    async with asyncio.timeout(HANG_SECONDS):
        outcomes = await asyncio.gather(*[node.keeper.carry_out(order) for order in orders])
    assert outcomes[-1].is_ready
    infos = await node.engine.list_instances()
    assert [info.status for info in infos] == [ContainerStatus.RUNNING]
