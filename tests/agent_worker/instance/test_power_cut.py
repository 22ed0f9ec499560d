"""The machine loses its power, agent and all: what ran runs again, once each, and none of it is said to have crashed.

The Engine's processes and all of its containers end in one moment, and what stood below /run goes. The machine's next
life has another name, its clocks begin anew, and the Engine's may be earlier than it was before.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import NotFound

from agent_worker.docker_engine import DockerEngine
from agent_worker.mounts.held_folders import RUNTIME_FOLDER
from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.node.policy import NodePolicy
from tests.agent_worker.instance.node import KeptNode
from tests.fixtures.own_docker import OwnDocker
from tests.hang import HANG_SECONDS

RUNS = "trap 'exit 0' TERM; sleep 600 & wait"
AGES = 1e6  # seconds for which the machine was up
NEVER = "0001-01-01T00:00:00Z"
SAVES = {"pre_stop": {"command": ["touch", "/saved"]}}


class Machine:
    """Keeper and Engine of one machine. ``boot`` counts its lives."""

    def __init__(self, folder: Path, own: OwnDocker, image: str) -> None:
        self.own = own
        self.client = docker.APIClient(base_url=own.socket, version="auto")
        self.made = uuid.uuid4().hex[:6]
        self.name = f"cut-{self.made}"
        self.node = KeptNode(folder, DockerEngine(self.name, own.socket), image, self.name)

    async def order(
        self, name: str, script: str = RUNS, desired: Desired = Desired.RUNNING, **parts: Any
    ) -> InstanceStatus:
        self.node.instance = f"{name}-{self.made}"
        container = {"command": ["sh", "-c", script], "network_mode": "none"} | parts.pop("container", {})
        spec = self.node.spec(container=container, stop={"grace": "1s"}, **parts)
        return (await self.node.order(desired, spec=spec)).status

    async def restart(self, while_down: Callable[[], None] = lambda: None) -> None:
        """Without power for a moment."""
        await self.node.kill()
        self.node.engine.close()  # type: ignore[attr-defined]
        await asyncio.to_thread(self.own.cut_power)
        let_go(self.name)  # /run is empty after a start of the machine
        while_down()
        await asyncio.to_thread(self.own.start)
        self.node.told.clear()
        self.node.engine = DockerEngine(self.name, self.own.socket)
        self.node.boot = uuid.uuid4().hex
        self.node.ahead -= AGES
        self.node.begin()

    async def told(self, name: str, *states: InstanceState) -> list[InstanceStatus]:
        """All that was told of it in this life, once the last of these states was."""
        instance = f"{name}-{self.made}"
        await self.node.until(lambda status: status.instance == instance and status.state is states[-1])
        found = [status for status in self.node.told if status.instance == instance]
        assert [status.state for status in found] == list(states)
        return found

    def shown(self, name: str) -> dict[str, Any]:
        (found,) = self.client.containers(all=True, filters={"name": f"gk-i-{name}-{self.made}-"})
        return dict(self.client.inspect_container(found["Id"]))

    def config(self, name: str) -> Path:
        """The Engine's own file about a container."""
        return self.own.folder / "root" / "containers" / str(self.shown(name)["Id"]) / "config.v2.json"

    def set_clock_back(self, by: timedelta) -> None:
        """All that happened so far counts as so much later."""
        for file in (self.own.folder / "root" / "containers").glob("*/config.v2.json"):
            config = json.loads(file.read_text())
            for name in ("StartedAt", "FinishedAt"):
                seconds, rest = config["State"][name][:19], config["State"][name][19:]
                if not seconds.startswith("0001"):
                    config["State"][name] = (datetime.fromisoformat(seconds) + by).isoformat() + rest
            file.write_text(json.dumps(config))


@asynccontextmanager
async def begun(folder: Path, own: OwnDocker, image: str) -> AsyncIterator[Machine]:
    made = Machine(folder, own, image)
    made.node.ahead, made.node.policy = AGES, NodePolicy(host_paths=[str(folder)])
    made.node.begin()
    try:
        yield made
    finally:
        await made.node.kill()
        made.node.engine.close()  # type: ignore[attr-defined]
        made.client.close()
        let_go(made.name)


def let_go(node: str) -> None:
    """Of the host folders that the agent of a node held."""
    held = Path(RUNTIME_FOLDER) / "mounts" / node
    for mount in sorted(held.glob("*/*")):
        subprocess.run(["umount", "-l", str(mount)], check=True)
    shutil.rmtree(held, ignore_errors=True)


@pytest.fixture
async def machine(tmp_path: Path, own_docker: OwnDocker, test_image: str) -> AsyncIterator[Machine]:
    async with begun(tmp_path, own_docker, test_image) as made:
        yield made


@pytest.mark.parametrize("set_back", [timedelta(), timedelta(hours=1)], ids=["same clock", "earlier clock"])
async def test_a_power_cut(machine: Machine, set_back: timedelta) -> None:
    assert (await machine.order("runs")).state is InstanceState.READY
    assert (await machine.order("saves", hooks=SAVES)).state is InstanceState.READY
    assert (await machine.order("once", restart={"policy": "no"})).state is InstanceState.READY
    await machine.order("stopped")
    assert (await machine.order("stopped", desired=Desired.STOPPED)).state is InstanceState.STOPPED
    await machine.order("looping", "exit 3", restart={"attempts": 0})
    await machine.node.until_state(InstanceState.CRASH_LOOP)
    before = {name: machine.shown(name) for name in ("runs", "saves", "once", "stopped", "looping")}
    await machine.restart(lambda: machine.set_clock_back(set_back))

    for name in ("runs", "saves"):
        starting, ready = await machine.told(name, InstanceState.STARTING, InstanceState.READY)
        assert (starting.reason, starting.message) == (InstanceReason.ENGINE, "it ended with the machine")
        assert (ready.reason, ready.message, ready.crash_count) == (None, "", 0)
    (once,) = await machine.told("once", InstanceState.STOPPED)
    assert (once.reason, once.message) == (
        InstanceReason.ENGINE,
        "it ended with the machine, and its restart policy is no",
    )
    after = {name: machine.shown(name) for name in before}
    assert {name: found["Id"] for name, found in after.items()} == {name: found["Id"] for name, found in before.items()}
    running = {name for name, found in after.items() if found["State"]["Running"]}
    assert running == {"runs", "saves"}
    with pytest.raises(NotFound):  # nobody was asked to end, so nothing was saved
        machine.client.get_archive(after["saves"]["Id"], "/saved")
    kept = {status.instance.rpartition("-")[0]: status for status in await machine.node.keeper.statuses()}
    assert (kept["looping"].state, kept["looping"].crash_count) == (InstanceState.CRASH_LOOP, 1)
    assert kept["stopped"].state is InstanceState.STOPPED
    assert {kept[name].crash_count for name in ("runs", "saves", "once", "stopped")} == {0}


async def test_ports_and_host_folders_after_a_power_cut(machine: Machine, tmp_path: Path) -> None:
    """A folder that is another one by now is what its container gets."""
    world = tmp_path / "world"
    world.mkdir()
    (world / "level").write_text("one\n")
    parts = {"ports": ["8080:80"], "volumes": [f"{world}:/world"], "network_mode": None}
    script = "cat /world/level; httpd -f -p 80 -h /world"
    await machine.order("serves", script, container=parts)
    before = machine.shown("serves")

    def another_folder() -> None:
        shutil.rmtree(world)
        world.mkdir()
        (world / "level").write_text("two\n")

    await machine.restart(another_folder)
    await machine.told("serves", InstanceState.STARTING, InstanceState.READY)
    after = machine.shown("serves")
    assert after["Id"] == before["Id"]
    assert after["NetworkSettings"]["Ports"] == before["NetworkSettings"]["Ports"] != {}
    async with asyncio.timeout(HANG_SECONDS):
        while machine.client.logs(after["Id"]) != b"one\ntwo\n":
            await asyncio.sleep(0.05)


async def test_what_the_engine_had_half_written_is_made_again(machine: Machine) -> None:
    """One container was there and had not been started; of another nothing can be read any more."""
    for name in ("made", "torn", "other"):
        await machine.order(name)
    await machine.order("once", restart={"policy": "no"})
    made, torn, other = (machine.shown(name)["Id"] for name in ("made", "torn", "other"))
    files = {name: machine.config(name) for name in ("made", "torn", "once")}

    def half_written() -> None:
        config = json.loads(files["made"].read_text())
        config["State"] |= {"Running": False, "Pid": 0, "StartedAt": NEVER, "FinishedAt": NEVER}
        files["made"].write_text(json.dumps(config))
        files["torn"].write_text("")
        files["once"].write_text("")

    await machine.restart(half_written)
    for name in ("made", "torn", "other"):
        await machine.told(name, InstanceState.STARTING, InstanceState.READY)
    (once,) = await machine.told("once", InstanceState.FAILED)
    assert (once.reason, once.crash_count) == (InstanceReason.REMOVED_OUTSIDE, 0)
    assert "gone when the machine came back" in once.message
    assert (machine.shown("made")["Id"], machine.shown("other")["Id"]) == (made, other)
    assert machine.shown("torn")["Id"] != torn
    counts = {status.instance.rpartition("-")[0]: status.crash_count for status in await machine.node.keeper.statuses()}
    assert counts == {"made": 0, "torn": 0, "other": 0, "once": 0}
