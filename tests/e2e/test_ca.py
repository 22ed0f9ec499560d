"""The CA rotated under a stack of real processes: a step, its log and its node go on, and so does what comes after."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from gamekeeper.certificates.pem import certificates_in
from gamekeeper.stack.layout import StateDir
from tests.fixtures.acme import pebble_server
from tests.fixtures.certificates import TestAuthority
from tests.fixtures.stack import GAMEKEEPER, Stack, node_id
from tests.hang import HANG_SECONDS

TICKS = """
name: ticks
steps:
  - name: a
    container:
      image: '{image}'
      commands: ['n=0; while [ ! -e /stop ]; do n=$((n+1)); echo tick $n; sleep 0.05; done']
"""
ECHO = "name: x\nsteps:\n  - {{name: a, container: {{image: '{image}', commands: [echo]}}}}\n"


@pytest.fixture
def fresh(tmp_path: Path, test_image: str) -> Iterator[Stack]:
    made = Stack(tmp_path / "state", test_image)
    made.node = node_id("ca")
    made.up("--host", "0.0.0.0")
    yield made
    made.destroy()


def ticks_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^tick (\d+)$", text, re.MULTILINE)]


class Follower:
    """Follows a step's log over one connection."""

    def __init__(self, stack: Stack, run_id: str) -> None:
        state = StateDir(stack.state_dir)
        record = state.load()
        self._url = f"{record.rest_url}/api/v1/runs/{run_id}/steps/a/logs?follow=true"
        self._key, self._trust = state.key_file.read_text().strip(), state.trust(record)
        self.ticks: list[int] = []
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()

    def _follow(self) -> None:
        headers = {"Authorization": f"Bearer {self._key}"}
        try:
            with httpx.stream("GET", self._url, headers=headers, verify=self._trust, timeout=HANG_SECONDS) as answer:
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        self.ticks += ticks_in(json.loads(line[5:]).get("text", ""))
        except Exception as error:
            self.error = error


def sessions(stack: Stack) -> int:
    return len(stack.get(f"/events?kind=node.session_opened&node={stack.node}").json()["items"])


def elsewhere(stack: Stack, pin: str, *command: str) -> subprocess.CompletedProcess[str]:
    """The command as on a machine that knows the server's address, a key and the pin."""
    state = StateDir(stack.state_dir)
    ports = state.load().ports
    assert ports is not None
    environment = {**os.environ, "GAMEKEEPER_API_KEY": state.key_file.read_text().strip(), "GAMEKEEPER_PIN": pin}
    server = ("--server", f"https://127.0.0.9:{ports.rest}", "--state-dir", str(stack.state_dir.parent / "none"))
    return subprocess.run([GAMEKEEPER, *server, *command], env=environment, capture_output=True, text=True, check=False)


def shown(stack: Stack) -> str:
    """The certificate that REST shows; empty in the moment in which one server follows another."""
    ports = StateDir(stack.state_dir).load().ports
    assert ports is not None
    with suppress(OSError):
        return ssl.get_server_certificate(("127.0.0.1", ports.rest))
    return ""


def test_a_rotation_under_a_running_step_and_an_open_log_drops_nothing(fresh: Stack) -> None:
    pin = fresh.json("ca", "show")["roots"][0]["pin"]
    assert fresh.node in elsewhere(fresh, pin, "node", "ls").stdout
    run_id = fresh.submit(TICKS.format(image=fresh.image))
    fresh.until(lambda: fresh.step(run_id, "a")["state"] == "running")
    follower = Follower(fresh, run_id)
    fresh.until(lambda: len(follower.ticks) > 5)
    opened = sessions(fresh)

    told = fresh.command("ca", "rotate", "--overlap", "2").stdout
    assert "go on working until" in told
    fresh.until(lambda: fresh.json("ca", "show")["nodes_behind"] == [])
    agent_roots = StateDir(fresh.state_dir).agent_dir(fresh.node) / "roots.pem"
    fresh.until(lambda: len(certificates_in(agent_roots.read_text())) == 2)
    seen = len(follower.ticks)
    fresh.until(lambda: len(follower.ticks) > seen + 20)
    assert sessions(fresh) == opened, "the node's session went on"
    assert elsewhere(fresh, pin, "node", "ls").returncode == 0, "the pin of before"
    newest = fresh.json("ca", "show")["roots"][0]["pin"]
    assert elsewhere(fresh, newest, "node", "ls").returncode == 0
    after = fresh.submit(ECHO.format(image=fresh.image))
    assert fresh.until_ended(after)["state"] == "succeeded", "signed with a key of the new root"

    (container,) = fresh.containers(run_id)
    assert container.exec_run("touch /stop").exit_code == 0
    assert fresh.until_ended(run_id)["state"] == "succeeded"
    follower.thread.join(HANG_SECONDS)
    assert follower.error is None
    assert all(later == earlier + 1 for earlier, later in itertools.pairwise(follower.ticks))
    log = ticks_in(fresh.log(run_id, "a"))
    assert log == list(range(1, len(log) + 1))
    assert follower.ticks[-1] == log[-1]


def test_a_second_start_and_a_killed_api_after_a_rotation_lose_nobody(fresh: Stack) -> None:
    fresh.command("ca", "rotate")
    again = fresh.command("ca", "rotate", check=False)
    assert again.returncode == 2
    assert "the CA was rotated already" in again.stderr
    fresh.kill("api")
    fresh.until(lambda: fresh.status()["agents"][0]["health"] == "ok" and fresh.status()["api"]["health"] == "ok")
    assert fresh.until_ended(fresh.submit(ECHO.format(image=fresh.image)))["state"] == "succeeded"
    fresh.command("down")
    fresh.up("--host", "0.0.0.0")
    assert fresh.until_ended(fresh.submit(ECHO.format(image=fresh.image)))["state"] == "succeeded"
    assert len(fresh.json("ca", "show")["roots"]) == 2


def test_a_revoked_node_is_out_and_comes_back_by_a_token(fresh: Stack) -> None:
    assert "revoked" in fresh.command("node", "revoke", fresh.node).stdout
    fresh.until(lambda: fresh.get(f"/nodes/{fresh.node}").json()["status"] == "offline")
    run_id = fresh.submit(ECHO.format(image=fresh.image))
    token = fresh.json("node", "enrol", fresh.node)["token"]
    (StateDir(fresh.state_dir).agent_dir(fresh.node) / "token").write_text(token)  # read by an agent that is refused
    assert fresh.until_ended(run_id)["state"] == "succeeded"


def test_a_certificate_of_files_for_another_name_shuts_nobody_of_this_machine_out(
    tmp_path: Path, test_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a public CA: REST is reached from outside by the name, and here by the address."""
    other = TestAuthority(tmp_path / "public").authority
    files = {"CERTIFICATE": tmp_path / "fullchain.pem", "KEY": tmp_path / "privkey.pem"}
    for name, path in files.items():
        monkeypatch.setenv(f"GAMEKEEPER_REST_{name}", str(path))

    def give() -> None:
        made = other.issue_server(["play.example.com"], datetime.now(UTC))
        files["KEY"].write_text(made.key_pem)
        files["CERTIFICATE"].write_text(made.chain_pem)

    give()
    stack = Stack(tmp_path / "state", test_image)
    stack.node = node_id("files")
    try:
        stack.up("--host", "0.0.0.0")
        assert stack.until_ended(stack.submit(ECHO.format(image=stack.image)))["state"] == "succeeded"
        ports = StateDir(stack.state_dir).load().ports
        assert ports is not None
        before = shown(stack)
        give()
        stack.until(lambda: shown(stack) not in ("", before))
        assert stack.status()["api"]["health"] == "ok"
        context = ssl.create_default_context(cadata=other.roots_pem(datetime.now(UTC)))
        with socket.create_connection(("127.0.0.1", ports.rest)) as raw:
            context.wrap_socket(raw, server_hostname="play.example.com").close()
    finally:
        stack.destroy()


def test_a_certificate_by_acme_comes_while_it_serves_and_is_kept(
    tmp_path: Path, test_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(tmp_path / "state", test_image)
    stack.node = node_id("acme")

    with pebble_server(tmp_path) as pebble:
        words = {"DOMAINS": "play.example.com", "DIRECTORY": pebble.directory, "EMAIL": "admin@example.org"}
        for name, value in (words | {"ROOTS": str(pebble.roots), "HTTP_PORT": str(pebble.challenge_port)}).items():
            monkeypatch.setenv(f"GAMEKEEPER_ACME_{name}", value)
        try:
            stack.up("--host", "0.0.0.0")
            kept = stack.state_dir / "ca" / "acme" / "certificate.pem"
            stack.until(lambda: kept.exists() and (shown(stack) or "none") in kept.read_text())
            assert stack.until_ended(stack.submit(ECHO.format(image=stack.image)))["state"] == "succeeded"
            before = shown(stack)
            stack.kill("api")
            stack.until(lambda: shown(stack) == before and stack.status()["api"]["health"] == "ok")
            assert stack.until_ended(stack.submit(ECHO.format(image=stack.image)))["state"] == "succeeded"
        finally:
            stack.destroy()
