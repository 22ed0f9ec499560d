"""SIGTERM to an agent does nothing to its containers, or with ``--stop-containers`` ends them cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.stack import GAMEKEEPER, Stack, node_id
from tests.hang import HANG_SECONDS

TRAP = "trap 'echo bye; exit 3' TERM; echo hello; while true; do sleep 0.1; done"


@pytest.fixture
def node(stack: Stack) -> Iterator[str]:
    name = node_id("leaving")
    stack.command("node", "add", name)
    yield name
    stack.command("node", "rm", name, "--force")


@contextmanager
def agent(stack: Stack, node: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    token = stack.json("node", "enrol", node)["token"]
    server = stack.status()["api"]["url"]
    command = [GAMEKEEPER, "agent", "--server", server, "--token", token, "--state-dir", str(folder), *options]
    with (folder / "agent.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "NO_COLOR": "1"})
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def run_on(stack: Stack, node: str) -> str:
    spec = f"""
name: stop
steps:
  - name: work
    container: {{image: '{stack.image}', command: [sh, -c, "{TRAP}"]}}
"""
    run_id: str = stack.json("run", stack.write(spec), "--node", node)["id"]
    stack.until(lambda: "hello" in stack.log(run_id, "work"))
    return run_id


def test_stop_containers_ends_steps_and_hands_over(stack: Stack, node: str, tmp_path: Path) -> None:
    with agent(stack, node, tmp_path, "--stop-containers") as process:
        run_id = run_on(stack, node)
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_SECONDS) == 0, (tmp_path / "agent.log").read_text()
    # its last report may already have said that it can go
    assert {container.status for container in stack.containers(run_id)} <= {"exited"}
    ended = stack.until_ended(run_id)
    assert (ended["state"], ended["steps"][0]["exit_code"]) == ("failed", 3)
    assert stack.log(run_id, "work") == "hello\nbye\n"
    for container in stack.containers(run_id):
        container.remove()


def test_without_it_containers_are_left_running(stack: Stack, node: str, tmp_path: Path) -> None:
    with agent(stack, node, tmp_path) as process:
        run_id = run_on(stack, node)
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_SECONDS) == 0
    container = stack.containers(run_id)[0]
    assert container.status == "running"
    stack.command("runs", "cancel", run_id)
    with agent_again(stack, tmp_path):
        assert stack.until_ended(run_id)["state"] == "canceled"
        stack.until(lambda: stack.containers(run_id) == [])


@contextmanager
def agent_again(stack: Stack, folder: Path) -> Iterator[None]:
    server = stack.status()["api"]["url"]
    with (folder / "again.log").open("wb") as output:
        process = subprocess.Popen(
            [GAMEKEEPER, "agent", "--server", server, "--state-dir", str(folder)], stdout=output, stderr=output
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()
