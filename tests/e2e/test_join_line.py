"""The line that `gamekeeper join-key make` prints, pasted on a second machine that has a shell, curl and Docker, but
neither Python nor the internet: a container on a network of its own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from gamekeeper.bundles import Bundle
from scripts.base_image import ensure_base_image
from tests.fixtures.stack import Stack, node_id

pytestmark = pytest.mark.timeout(900)  # an image and the bundle are built first

IMAGE = "gamekeeper/second-machine:test"
PIPELINE = "name: x\nsteps:\n  - {{name: a, container: {{image: '{image}', commands: ['echo it runs']}}}}\n"


class Machine:
    """The second machine, and the network on which the first one has ``address``."""

    def __init__(self, client: docker.DockerClient) -> None:
        base = ensure_base_image(client)
        file = (
            f"FROM {base}\nRUN apt-get update -qq && apt-get install -y -qq --no-install-recommends curl >/dev/null\n"
        )
        client.images.build(fileobj=io.BytesIO(file.encode()), tag=IMAGE, rm=True)
        self._network = client.networks.create(node_id("machine"), labels={"gamekeeper.test": "1"}, internal=True)
        self._network.reload()
        self.address = str(self._network.attrs["IPAM"]["Config"][0]["Gateway"])
        self._container = client.containers.run(
            IMAGE,
            ["sleep", "infinity"],
            detach=True,
            init=True,
            network=self._network.name,
            volumes=["/var/run/docker.sock:/var/run/docker.sock"],
        )

    def run(self, line: str) -> tuple[int, str]:
        done = self._container.exec_run(["sh", "-c", line])
        assert isinstance(done.output, bytes)
        return int(done.exit_code or 0), done.output.decode()

    def good(self, line: str) -> str:
        code, output = self.run(line)
        assert code == 0, output
        return output

    def destroy(self) -> None:
        self._container.remove(force=True, v=True)
        self._network.remove()


@pytest.fixture
def machine() -> Iterator[Machine]:
    client = docker.from_env()
    made = Machine(client)
    yield made
    made.destroy()
    client.close()


@pytest.fixture
def fresh(tmp_path: Path, test_image: str) -> Iterator[Stack]:
    made = Stack(tmp_path / "state", test_image)
    made.node = node_id("second")
    yield made
    made.destroy()


def printed_line(stack: Stack, host: str, *command: str) -> str:
    told = stack.command(*command).stdout
    line = next(line for line in told.splitlines() if line.startswith("s=$(curl"))
    assert f"https://{host}:" in line
    return line


def node(stack: Stack) -> Any:
    return json.loads(stack.command("node", "show", stack.node, "--json").stdout)


def test_the_printed_line_makes_a_bare_machine_a_node(fresh: Stack, machine: Machine, agent_bundle: Bundle) -> None:
    fresh.up("--host", machine.address, "--node", "none")
    line = printed_line(fresh, machine.address, "join-key", "make", "--name", fresh.node)
    assert machine.run("command -v python3")[0] != 0

    told = machine.good(line)
    assert f"this machine is node {fresh.node} of https://{machine.address}:" in told
    assert "there is no systemd here" in told
    fresh.until(lambda: node(fresh)["status"] == "online")
    run_id = fresh.submit(PIPELINE.format(image=fresh.image))
    assert fresh.until_ended(run_id)["state"] == "succeeded"
    assert "it runs" in fresh.log(run_id, "a")

    before = machine.good("cat /run/gamekeeper-agent.pid")
    assert f"this machine is node {fresh.node}" in machine.good(line), "the same line again, whose key is spent"
    assert machine.good("cat /run/gamekeeper-agent.pid") != before
    assert machine.run(f"kill -0 {before}")[0] != 0, "one agent, not two"
    left = machine.good("ls -A /opt/gamekeeper-agent").split()
    assert len(left) == 2, left
    run_id = fresh.submit(PIPELINE.format(image=fresh.image))
    assert fresh.until_ended(run_id)["state"] == "succeeded"

    told = machine.good("sh /opt/gamekeeper-agent/current/install.sh --uninstall --purge")
    assert "the agent is removed" in told
    assert machine.run("ls /opt/gamekeeper-agent /var/lib/gamekeeper-agent /etc/gamekeeper-agent")[0] != 0
    fresh.until(lambda: node(fresh)["status"] == "offline")
