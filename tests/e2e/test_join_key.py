"""Real agents join by a join key: at once, after an approval, and not at all."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gamekeeper.exit_status import MISCONFIGURED
from tests.fixtures.stack import GAMEKEEPER, Stack, node_id
from tests.hang import HANG_SECONDS

ECHO = "name: x\nsteps:\n  - {{name: a, container: {{image: '{image}', commands: [echo hello]}}}}\n"


class Agents:
    """Agents of this test, each with a folder, and the nodes that they may have become."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.nodes: list[str] = []
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, node: str, key: str, *options: str) -> subprocess.Popen[bytes]:
        """The key goes by standard input, and so into no list of processes."""
        self.nodes.append(node)
        (self.folder / name).mkdir(exist_ok=True)
        command = [GAMEKEEPER, "agent", "--server", self.stack.status()["api"]["url"], "--token", "-", "--node", node]
        command += ["--state-dir", str(self.folder / name), *options]
        with self.log_file(name).open("ab") as output:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
        assert process.stdin is not None
        process.stdin.write(key.encode() + b"\n")
        process.stdin.close()
        self._running.append(process)
        return process

    def log_file(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def log(self, name: str) -> str:
        """The agent's messages, a line each."""
        lines = self.log_file(name).read_text().splitlines()
        return "\n".join(json.loads(line)["message"] for line in lines if line.startswith("{"))

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
        self.stack.command("joins", "rm", "--all")
        for node in {item["id"] for item in self.stack.json("node", "ls")} & set(self.nodes):
            self.stack.command("node", "rm", node, "--force")


@pytest.fixture
def agents(stack: Stack, tmp_path: Path) -> Iterator[Agents]:
    made = Agents(stack, tmp_path)
    yield made
    made.end()


def make_key(stack: Stack, *options: str) -> dict[str, Any]:
    made: dict[str, Any] = stack.json("join-key", "make", *options)
    return made


def is_online(stack: Stack, node: str) -> bool:
    return bool(stack.get(f"/nodes/{node}").json()["status"] == "online")


def test_a_machine_joins_by_a_key_and_runs_what_its_policy_allows(stack: Stack, agents: Agents, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("privileged: true\n")
    options = ["--policy", str(tmp_path / "policy.yaml"), "--label", "pool=arena", "--capacity", "gpus=3"]
    made = make_key(stack, *options)
    node, secret = node_id("joined"), made["key"].partition(".")[0]
    process = agents.start("one", node, made["key"])
    stack.until(lambda: is_online(stack, node))
    found = stack.get(f"/nodes/{node}").json()
    assert (found["labels"], found["capacity"]["gpus"]) == ({"pool": "arena"}, 3)
    assert "privileged: true" in (tmp_path / "one" / "policy.yaml").read_text()
    assert found["policy"]["privileged"] is True
    run_id = stack.json("run", stack.write(ECHO.format(image=stack.image)), "--node", node)["id"]
    ended = stack.until_ended(run_id)
    assert ended["state"] == "succeeded", ended
    running = psutil.Process(process.pid)
    assert "agent_worker" in running.cmdline()
    processes = (running, *running.children(recursive=True))
    told = [text for item in processes for text in (*item.cmdline(), *item.environ().values())]
    told += [log.read_text() for log in (stack.state_dir / "process-logs").glob("*.log")]
    told += [agents.log("one"), stack.get("/events?limit=500").text, stack.command("join-key", "ls").stdout]
    assert [text for text in told if secret in text] == []
    assert re.search(rf"{made['id']} +used_up +1/1", stack.command("join-key", "ls").stdout)
    second = agents.start("two", node_id("late"), made["key"])
    assert second.wait(HANG_SECONDS) == MISCONFIGURED
    assert f"join key {made['id']} is used up: it was good for 1 machine" in agents.log("two")


def test_a_reinstalled_machine_waits_for_the_operator_and_goes_on_by_itself(stack: Stack, agents: Agents) -> None:
    made = make_key(stack, "--uses", "5")
    node, other = node_id("again"), node_id("other")
    agents.nodes.append(other)
    agents.start("before", node, made["key"], "--engine", "dummy")
    stack.until(lambda: is_online(stack, node))
    agents.start("after", node, made["key"], "--engine", "dummy")
    line = rf'this machine, (\S+), waits for an approval on \S+: there is a node "{node}" already; '
    shown = stack.until(lambda: re.search(line, agents.log("after")))
    join = shown.group(1)
    assert f"gamekeeper joins approve {join} --replace" in agents.log("after")
    assert re.search(rf"{join} +waiting +{node} +{node} +127\.0\.0\.1", stack.command("joins", "ls").stdout)
    refused = stack.command("joins", "approve", join, check=False)
    assert (refused.returncode, "which is online" in refused.stderr) == (2, True)
    stack.command("joins", "approve", join, "--node", other)
    stack.until(lambda: is_online(stack, other))
    assert is_online(stack, node), "the machine that was there is still its node"


def test_a_refusal_ends_the_agent_and_an_approval_outlives_its_kill(stack: Stack, agents: Agents) -> None:
    made = make_key(stack, "--uses", "2", "--approve")
    node, evil = node_id("wanted"), node_id("evil")
    process = agents.start("wanted", node, made["key"], "--engine", "dummy")
    unwanted = agents.start("evil", evil, made["key"], "--engine", "dummy")
    joins = {item["node_id"]: item["id"] for item in stack.until(lambda: waiting(stack, count=2))}
    stack.command("joins", "refuse", joins[evil], "-m", "not ours")
    assert unwanted.wait(HANG_SECONDS) == MISCONFIGURED
    assert f"an operator refused this machine, {joins[evil]}: not ours" in agents.log("evil")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    stack.command("joins", "approve", joins[node])
    agents.start("wanted", node, made["key"], "--engine", "dummy")
    stack.until(lambda: is_online(stack, node))
    assert stack.get(f"/join-keys/{made['id']}").json()["uses"] == 1


def waiting(stack: Stack, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.json("joins", "ls")
    return found if len(found) == count else []
