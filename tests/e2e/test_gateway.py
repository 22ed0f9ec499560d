"""Agents reach Temporal through the stack's gateway, and a gateway that dies or hangs is seen and lived through."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil
import pytest

from gamekeeper.stack.layout import StateDir
from tests.fixtures.stack import Stack
from tests.hang import HANG_SECONDS

pytestmark = pytest.mark.xdist_group("stack gateway")


def dialled(pid: int) -> set[int]:
    connections = psutil.Process(pid).net_connections("tcp")
    return {item.raddr.port for item in connections if item.raddr and item.status == psutil.CONN_ESTABLISHED}


def conditions(stack: Stack) -> list[str]:
    return [condition["type"] for condition in stack.get(f"/nodes/{stack.node}").json()["conditions"]]


def says(stack: Stack, part: str) -> tuple[str, bool]:
    """The health of a part by ``status``, and whether ``/readyz`` names it as a trouble."""
    state = StateDir(stack.state_dir)
    record = state.load()
    ready = httpx.get(f"{record.rest_url}/readyz", verify=state.trust(record), timeout=HANG_SECONDS)
    is_trouble = ready.json()["parts"][part] != "ok"
    assert not is_trouble or ready.status_code == 503
    return stack.status()[part]["health"], is_trouble


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
    container.exec_run(["touch", "/tmp/end"])
    stack.until(lambda: stack.status()["gateway"]["pid"] not in (None, hung))
    step = stack.until_ended(run_id)["steps"][0]
    assert (step["exit_code"], step["try"], step["container"]) == (7, 1, container.id)
    stack.until(lambda: "WorkUnreachable" not in conditions(stack))
    stack.until(lambda: says(stack, "gateway") == ("ok", False))


@pytest.fixture
def dropped(stack: Stack) -> Iterator[None]:
    """Nothing on this machine reaches the gateway: packets vanish, also those of connections that stand."""
    ports = StateDir(stack.state_dir).load().ports
    assert ports is not None
    rule = ["OUTPUT", "-o", "lo", "-p", "tcp", "--dport", str(ports.gateway), "-j", "DROP"]
    subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def test_an_agent_that_does_not_reach_the_gateway_says_so(stack: Stack, request: pytest.FixtureRequest) -> None:
    stack.until(lambda: "WorkUnreachable" not in conditions(stack))
    request.getfixturevalue("dropped")
    stack.until(lambda: "WorkUnreachable" in conditions(stack))
    agent = stack.status()["agents"][0]
    assert (agent["status"], agent["health"]) == ("online", "unhealthy"), agent


def test_a_temporal_that_is_frozen_is_told_and_replaced(stack: Stack) -> None:
    frozen = stack.pid("temporal")
    os.kill(frozen, signal.SIGSTOP)
    try:
        stack.until(lambda: says(stack, "temporal") == ("unhealthy", True))
        assert stack.status()["supervisor"]["health"] == "ok"
        stack.until(lambda: stack.status()["temporal"]["pid"] not in (None, frozen))
    finally:
        with suppress(ProcessLookupError):
            os.kill(frozen, signal.SIGCONT)
    stack.until(lambda: says(stack, "temporal") == ("ok", False))
    stack.until(lambda: "WorkUnreachable" not in conditions(stack))
