"""A bad network: 5 % of all packets are lost, then all. A node that is there is never called lost; one that is gone is.

The events tell how long a node was silent before it was called offline, and the lease tells how long it may be. No
clock of this test takes part, because a busy machine delays the test as well as what it looks at.

In a network namespace of its own, with iptables, so that nothing else on the machine feels it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.stack.layout import StateDir
from tests.fixtures.stack import GAMEKEEPER
from tests.hang import HANG_SECONDS

log = logging.getLogger(__name__)

AGENTS = 20
LOSS_SECONDS = float(os.environ.get("GAMEKEEPER_LOSS_SECONDS", "45"))  # 600 for the ten minutes of the promise
SILENCE = re.compile(r"no heartbeat for ([0-9.]+) s; its lease is ([0-9.]+) s")


class Namespace:
    """A stack without a node, and simulated agents beside it."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder

    def run(self, *command: str) -> str:
        inside = ["ip", "netns", "exec", self._name, *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def gamekeeper(self, *arguments: str) -> Any:
        output = self.run(GAMEKEEPER, "--state-dir", str(self._folder / "state"), *arguments)
        return json.loads(output) if "--json" in arguments else output

    def drop(self, probability: float) -> None:
        """Drops packets from and to the node link's port; 0 for none."""
        ports = StateDir(self._folder / "state").load().ports
        assert ports is not None
        self.run("iptables", "-F")
        for end in ("--dport", "--sport"):
            if probability:
                chance = ["-m", "statistic", "--mode", "random", "--probability", str(probability)]
                self.run(
                    "iptables",
                    "-A",
                    "INPUT",
                    "-p",
                    "tcp",
                    end,
                    str(ports.grpc),
                    *(chance if probability < 1 else []),
                    "-j",
                    "DROP",
                )

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of the simulated nodes, oldest first."""
        found: list[dict[str, Any]] = self.gamekeeper("events", "--kind", kind, "--limit", "500", "--json")
        return found

    def until_all(self, status: str, count: int) -> None:
        deadline = time.monotonic() + HANG_SECONDS
        while True:
            found = [node["status"] for node in self.gamekeeper("node", "ls", "--json")]
            if found.count(status) == count:
                return
            assert time.monotonic() < deadline, f"not {count} nodes are {status}: {found}"
            time.sleep(0.5)

    @contextmanager
    def agents(self, count: int) -> Iterator[None]:
        server = self.gamekeeper("status", "--json")["api"]["url"]
        folder = self._folder / "agents"
        command = ["ip", "netns", "exec", self._name, GAMEKEEPER, "--state-dir", str(self._folder / "state"), "agent"]
        options = ["--server", server, "--engine", "dummy", "--simulate", str(count), "--state-dir", str(folder)]
        with (self._folder / "agents.log").open("wb") as output:
            process = subprocess.Popen([*command, *options], stdout=output, stderr=output)
            try:
                yield
            finally:
                process.terminate()
                process.wait()


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    name = f"gk-loss-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        made = Namespace(name, tmp_path)
        made.run("ip", "link", "set", "lo", "up")
        made.gamekeeper("up", "--detach", "--node", "none")
        try:
            yield made
        finally:
            made.run("iptables", "-F")
            made.gamekeeper("down")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def leases_of(event: dict[str, Any]) -> float:
    """The silence after which the api called the node offline, in leases: a late api tells longer ones."""
    found = SILENCE.fullmatch(event["message"])
    assert found is not None, event
    return float(found[1]) / float(found[2])


@pytest.mark.timeout(4 * HANG_SECONDS + LOSS_SECONDS)
def test_loss_raises_no_alarm_and_silence_does(namespace: Namespace) -> None:
    with namespace.agents(AGENTS):
        namespace.until_all("online", AGENTS)
        namespace.drop(0.05)
        time.sleep(LOSS_SECONDS)  # the time is what is tested
        assert namespace.events("node.offline") == []
        log.info("%d suspicions in %.0f s", len(namespace.events("node.suspect")), LOSS_SECONDS)

        namespace.drop(1)
        namespace.until_all("offline", AGENTS)
        silences = sorted(leases_of(event) for event in namespace.events("node.offline"))
        log.info("found lost after a silence of %.2f to %.2f leases", silences[0], silences[-1])
        assert len(silences) == AGENTS
        assert 1 <= silences[0] <= silences[-1] < 2

        namespace.drop(0)
        namespace.until_all("online", AGENTS)
