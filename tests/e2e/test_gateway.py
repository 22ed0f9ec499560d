"""Agents reach Temporal through the stack's gateway, and a gateway that dies or hangs is seen and lived through."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from gamekeeper.stack.layout import StateDir
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.xdist_group("stack gateway")


def dialled(pid: int) -> set[int]:
    connections = psutil.Process(pid).net_connections("tcp")
    return {item.raddr.port for item in connections if item.raddr and item.status == psutil.CONN_ESTABLISHED}


def conditions(stack: Stack) -> list[str]:
    return [condition["type"] for condition in stack.get(f"/nodes/{stack.node}").json()["conditions"]]


def waiting(image: str) -> str:
    commands = "until [ -e /tmp/end ]; do sleep 0.1; done; exit 7"
    return f"name: waiting\nsteps:\n  - {{name: a, container: {{image: '{image}', commands: ['{commands}']}}}}\n"


def test_the_agent_dials_the_gateway_and_never_temporal(stack: Stack) -> None:
    ports = StateDir(stack.state_dir).load().ports
    assert ports is not None
    found = stack.until(lambda: (found := dialled(stack.pid("agent"))) and ports.gateway in found and found)
    assert ports.temporal not in found


def test_a_gateway_that_is_killed_or_hangs_costs_no_step(stack: Stack) -> None:
    run_id = stack.submit(waiting(stack.image))
    stack.until(lambda: stack.step(run_id, "a")["state"] == "running")
    container = stack.containers(run_id)[0]
    killed = stack.kill("gateway")
    hung = stack.until(lambda: (pid := stack.status()["gateway"]["pid"]) not in (None, killed) and pid)
    os.kill(hung, signal.SIGSTOP)
    try:
        container.exec_run(["touch", "/tmp/end"])
        stack.until(lambda: "WorkUnreachable" in conditions(stack))
        agent = stack.status()["agents"][0]
        assert (agent["status"], agent["health"]) == ("online", "unhealthy"), agent
        assert "Temporal" in agent["message"]
    finally:
        os.kill(hung, signal.SIGCONT)
    step = stack.until_ended(run_id)["steps"][0]
    assert (step["exit_code"], step["try"], step["container"]) == (7, 1, container.id)
    stack.until(lambda: "WorkUnreachable" not in conditions(stack))
