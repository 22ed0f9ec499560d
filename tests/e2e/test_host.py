"""``up --host``: a stack on another address than the usual one, and what ``up`` says to a second start."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from gamekeeper.stack.layout import StateDir
from tests.fixtures.stack import Stack, node_id

ECHO = "name: x\nsteps:\n  - {{name: a, container: {{image: '{image}', commands: [echo]}}}}\n"


@pytest.fixture
def fresh(tmp_path: Path, test_image: str) -> Iterator[Stack]:
    made = Stack(tmp_path / "state", test_image)
    made.node = node_id("host")
    yield made
    made.destroy()


def listening(pid: int) -> set[str]:
    """The IPv4 addresses on which a process listens: gRPC uses sockets of IPv6 for them."""
    found = [item for item in psutil.Process(pid).net_connections("tcp") if item.status == psutil.CONN_LISTEN]
    return {"0.0.0.0" if item.laddr.ip == "::" else item.laddr.ip.removeprefix("::ffff:") for item in found}


@pytest.mark.parametrize(("host", "reached_at"), [("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "127.0.0.3")])
def test_a_stack_on_another_address_works_and_temporal_stays_on_loopback(
    fresh: Stack, host: str, reached_at: str
) -> None:
    fresh.up("--host", host)
    run_id = fresh.submit(ECHO.format(image=fresh.image))
    assert fresh.until_ended(run_id)["state"] == "succeeded"
    ports = StateDir(fresh.state_dir).load().ports
    assert ports is not None
    state = StateDir(fresh.state_dir)
    record = state.load()
    assert record.rest_url.startswith("http://" if reached_at == host else "https://")
    answer = httpx.get(f"{record.rest_url}/readyz", verify=state.trust(record))
    assert answer.status_code == 200
    assert "strict-transport-security" not in answer.headers, "the certificate is of the own CA"
    if record.is_tls:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{reached_at}:{ports.rest}/readyz")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"https://{reached_at}:{ports.rest}/readyz")
    assert listening(fresh.pid("api")) == {host}
    assert listening(fresh.pid("temporal")) == {"127.0.0.1"}


def test_a_second_up_says_what_differs_and_a_taken_port_says_who_has_it(
    fresh: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "default")
    fresh.up()
    again = fresh.command("up", "--detach", "--node", "another", "--host", "127.0.0.2", check=False)
    assert again.returncode == 2
    assert "with another --node and --host" in again.stderr
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "games")
    elsewhere = fresh.command("up", "--detach", "--node", fresh.node, check=False)
    assert elsewhere.returncode == 2
    assert "with another TEMPORAL_NAMESPACE" in elsewhere.stderr
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "default")
    moving = fresh.command("up", "--detach", "--node", fresh.node, "--new-ports", check=False)
    assert moving.returncode == 2
    assert "its ports do not move meanwhile" in " ".join(moving.stderr.split())
    fresh.command("down")
    ports = StateDir(fresh.state_dir).load().ports
    assert ports is not None
    with socket.create_server(("127.0.0.1", ports.rest)):
        refused = fresh.command("up", "--detach", "--node", fresh.node, check=False)
        assert refused.returncode != 0
        assert f"port {ports.rest} on 127.0.0.1 (REST) is taken by" in refused.stderr.replace("\n", " ")
        assert StateDir(fresh.state_dir).load().ports == ports
        fresh.up("--new-ports")
        moved = StateDir(fresh.state_dir).load().ports
        assert moved is not None
        assert moved.rest != ports.rest
        assert moved.model_copy(update={"rest": ports.rest}) == ports


def test_up_has_a_removed_node_back(fresh: Stack) -> None:
    fresh.up()
    agent = fresh.pid("agent")
    fresh.command("node", "rm", fresh.node)
    fresh.until(lambda: fresh.status()["agents"][0]["health"] != "ok")
    assert "already up" in fresh.command("up", "--detach", "--node", fresh.node).stdout
    fresh.until(lambda: fresh.status()["agents"][0]["health"] == "ok")
    run_id = fresh.submit(ECHO.format(image=fresh.image))
    assert fresh.until_ended(run_id)["state"] == "succeeded"
    assert fresh.pid("agent") == agent, "a living agent takes the new token by itself"


def test_an_agent_that_hangs_is_replaced_by_the_next_supervisor(fresh: Stack) -> None:
    fresh.up()
    before = fresh.status()
    agent = fresh.pid("agent")
    fresh.kill("supervisor")
    fresh.until(lambda: fresh.status()["supervisor"]["pid"] is None)
    os.kill(agent, signal.SIGSTOP)
    fresh.command("up", "--detach", "--node", fresh.node)
    fresh.until(lambda: not psutil.pid_exists(agent) and fresh.status()["agents"][0]["health"] == "ok")
    after = fresh.status()
    assert [after[part]["pid"] for part in ("temporal", "api")] == [before[part]["pid"] for part in ("temporal", "api")]
    assert after["supervisor"]["health"] == after["api"]["health"] == "ok"
    fresh.until(lambda: StateDir(fresh.state_dir).load().trouble == "")
    os.kill(fresh.pid("agent"), signal.SIGSTOP)
    assert fresh.command("down").stdout == "down\n"
