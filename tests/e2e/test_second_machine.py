"""A second machine and a third behind NAT, by the README's words alone: each does all that this machine does."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from datetime import datetime
from typing import Any

import pytest

from tests.fixtures.spaces import Spaces, host
from tests.hang import HANG_SECONDS

pytestmark = pytest.mark.xdist_group("spaces")  # they share what the module makes

LINES, WIDTH = 100_000, 1_000
RATIO = 20  # of cancels that are pushed; one that waits for a heartbeat of its step takes a hundred times as long

SERVER = 'echo "up $MARK"; while read -r line && [ "$line" != quit ]; do echo "said $line"; done'

LOGGER = """
name: logger
steps:
  - name: log
    container:
      image: {image}
      command:
        - busybox
        - awk
        - 'BEGIN {{ p = sprintf("%0{width}d", 0); for (n = 1; n <= {lines}; n++) print n, p }}'
"""
WAITER = """
name: waiter
steps:
  - name: wait
    container:
      image: {image}
      command: [sh, -c, "trap 'echo stopped; exit 0' TERM; echo ready; while true; do sleep 0.02; done"]
"""


def node_of(spaces: Spaces, place: str) -> str:
    return spaces.node if place == "local" else next(m.node for m in spaces.machines if m.place == place)


def test_temporal_is_reached_by_nobody_outside(spaces: Spaces) -> None:
    listening = spaces.network.do("server", "ss", "-Hltn")
    open_to_all = {line.split()[3] for line in listening.splitlines() if "127.0.0" not in line}
    assert {address.rpartition(":")[2] for address in open_to_all} == {"7380", "7381", "7382"}, listening
    assert all(address.removeprefix("[::ffff:").startswith(host(1)) for address in open_to_all), listening
    status = spaces.json("status")
    assert {status[part]["health"] for part in ("api", "gateway", "temporal", "control_worker")} == {"ok"}
    for machine in spaces.machines:
        known = json.loads((machine.folder / "identity.json").read_text())
        told = {name: value for name, value in known.items() if name not in ("link_ports", "gateway_address")}
        assert host(1) not in str(told), "addresses are dialled as the user gave them"


@pytest.mark.parametrize("place", ["open", "hidden"])
def test_a_run_with_a_log_of_100_mb(spaces: Spaces, place: str) -> None:
    node = node_of(spaces, place)
    run_id = spaces.submit_to(LOGGER.format(image=spaces.image, width=WIDTH - 8, lines=LINES), node)
    assert spaces.until_ended(run_id)["state"] == "succeeded"
    step = spaces.step(run_id, "log")
    assert step["node"] == node
    log = spaces.until(lambda: (text := spaces.log(run_id, "log")).count("\n") >= LINES and text)
    numbers = [int(line.partition(" ")[0]) for line in log.splitlines()]
    assert numbers == list(range(1, LINES + 1))
    assert len(log) > 95_000_000


@pytest.mark.parametrize("place", ["open", "hidden"])
def test_a_console(spaces: Spaces, place: str) -> None:
    run_id = spaces.submit_to(WAITER.format(image=spaces.image), node_of(spaces, place))
    spaces.until(lambda: "ready" in spaces.log(run_id, "wait"))
    sent = bytes(range(256)) * 4_000
    command = spaces.prefixed("runs", "exec", run_id, "wait", "--", "sh", "-c", "cat; echo err >&2; exit 5")
    done = subprocess.run(command, input=sent, capture_output=True, check=False, timeout=HANG_SECONDS)
    assert (done.stdout == sent, done.stderr, done.returncode) == (True, b"err\n", 5)
    spaces.command("runs", "cancel", run_id)
    assert spaces.until_ended(run_id)["state"] == "canceled"


def seconds_to_the_container(spaces: Spaces, node: str) -> float:
    """From the recorded request to the end of the container, by the one clock of this machine."""
    run_id = spaces.submit_to(WAITER.format(image=spaces.image), node)
    spaces.until(lambda: "ready" in spaces.log(run_id, "wait"))
    container = spaces.containers(run_id)[0]
    spaces.command("runs", "cancel", run_id)
    container.wait()
    container.reload()
    spaces.until_ended(run_id)
    asked = spaces.get(f"/events?run={run_id}&kind=run.cancel_requested").json()["items"][0]["at"]
    return (moment(container.attrs["State"]["FinishedAt"]) - moment(asked)).total_seconds()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text))


def test_a_cancel_reaches_a_container_anywhere(spaces: Spaces) -> None:
    found: dict[str, Any] = {node: seconds_to_the_container(spaces, node) for node in spaces.nodes}
    here = found[spaces.node]
    assert all(there < RATIO * here for there in found.values()), found


def test_an_instance_is_updated_while_the_cable_is_out(spaces: Spaces) -> None:
    node, name = spaces.open.node, f"arena-{secrets.token_hex(4)}"
    options = ["--node", node, "--image", spaces.image, "-e", "MARK=one", "--stop-command", "quit"]
    assert "is ready" in spaces.command("instance", "create", name, *options, "--", "sh", "-c", SERVER).stdout
    console = subprocess.Popen(
        spaces.prefixed("instance", "console", name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert console.stdin is not None
    assert console.stdout is not None
    console.stdin.write("hello\n")
    console.stdin.flush()
    assert [next(console.stdout), next(console.stdout)] == ["up one\n", "said hello\n"]
    console.kill()
    console.communicate()
    assert spaces.command("instance", "exec", name, "--", "sh", "-c", "exit 4", check=False).returncode == 4

    before = spaces.docker.containers.get(f"gk-i-{name}-1")
    with spaces.network.unplugged("open"):
        spaces.until_status(node, "offline")
        assert spaces.json("instance", "show", name)["state"] == "unknown"
        spaces.command("instance", "update", name, "-e", "MARK=two", "--no-wait")
        before.reload()
        assert before.status == "running"
    assert "is ready: revision 2" in spaces.command("instance", "wait", name).stdout
    spaces.until(lambda: spaces.command("instance", "logs", name).stdout == "up one\nsaid hello\nup two\n")
    spaces.until_well()
    assert f"instance {name} is deleted" in spaces.command("instance", "rm", name, "--yes").stdout
