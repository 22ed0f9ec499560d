"""Instances as a newcomer meets them: by the command alone, on a whole stack with the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.stack import Stack, free_ports, node_id

SERVER = """
version: 1
name: {name}
args: {{port: {port}, says: one}}
steps:
  - name: server
    type: service
    lifetime: node
    timeout: 60s
    container:
      image: "{image}"
      command: [sh, -c, "echo says $SAYS; exec sleep 600"]
      ports: ["${{{{ args.port }}}}:80"]
      environment: {{SAYS: "${{{{ args.says }}}}"}}
      stop_grace_period: 1s
  - name: ask
    container: {{image: "{image}", cap_add: [NET_RAW], commands: [ping -c 1 -W 5 server]}}
"""


@pytest.fixture
def name(stack: Stack) -> Iterator[str]:
    """The name of a pipeline, whose instance goes when the test has ended."""
    made = node_id("kept")
    yield made
    for found in stack.json("instance", "ls"):
        if found["id"].startswith(made):
            stack.command("instance", "rm", found["id"], "--volumes", "--yes")


def show(stack: Stack, name: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.json("instance", "show", f"{name}-server")
    return found


@pytest.mark.timeout(240)
def test_a_rerun_replaces_the_server_instead_of_meeting_its_own_port(stack: Stack, name: str) -> None:
    port = next(free_ports)
    file = stack.write(SERVER.format(name=name, port=port, image=stack.image), f"{name}.yaml")
    first = stack.json("run", file, "--node", stack.node, "--follow")
    assert first["state"] == "succeeded", first
    before = show(stack, name)
    assert (before["state"], before["revision"], before["pipeline"]) == ("ready", 1, name)
    again = stack.json("runs", "rerun", first["id"], "--from", "all", "--arg", "says=two", "--follow")
    assert again["state"] == "succeeded", again
    after = show(stack, name)
    assert (after["state"], after["revision"], after["ports"]) == ("ready", 2, before["ports"])
    assert after["container_id"] != before["container_id"]
    step = again["steps"][0]
    assert (step["outputs"], step["ports"]) == ({"instance": f"{name}-server", "revision": 2}, after["ports"])
    (running,) = stack.docker.containers.list(
        ignore_removed=True, filters={"label": f"gamekeeper.instance={name}-server"}
    )
    assert (running.id or "").startswith(after["container_id"][:12])
    assert b"says two" in running.logs()


@pytest.mark.timeout(240)
def test_the_life_of_an_instance_by_the_command(stack: Stack, name: str) -> None:
    options = ["--image", stack.image, "--node", stack.node, "-e", "SAYS=hello", "--memory", "64m"]
    made = stack.command("instance", "create", name, *options, "--", "sh", "-c", "echo $SAYS; exec sleep 600")
    assert f"instance {name} is ready" in made.stdout
    assert name in stack.command("instance", "ls").stdout
    assert name in stack.command("instance", "show", name[:-2]).stdout
    stopped = stack.command("instance", "stop", name, "--reason", "new disks")
    assert f"instance {name} is stopped" in stopped.stdout
    assert f"instance {name} is ready" in stack.command("instance", "start", name).stdout
    updated = stack.command("instance", "update", name, "-e", "SAYS=again")
    assert "revision 2" in updated.stdout
    missing = ["update", name, "--image", "127.0.0.1:1/missing"]
    failed = stack.command("instance", *missing, check=False)
    assert (failed.returncode, "revision 2 again" in failed.stdout, "revision 3 -> 2" in failed.stdout) == (
        1,
        True,
        True,
    )
    failed = stack.command("instance", *missing, "-e", "A=b", "--no-auto-revert", check=False)
    assert (failed.returncode, "is ready: revision 2: revision 4 is not up" in failed.stdout) == (1, True)
    assert "4 (2 runs)" in stack.command("instance", "ls").stdout
    assert "revision 2" in stack.command("instance", "rollback", name, "2").stdout
    revisions = stack.command("instance", "revisions", name).stdout
    assert "environment.SAYS" in revisions
    assert "revision 1" in stack.command("instance", "rollback", name).stdout
    told = stack.command("instance", "events", name).stdout
    assert "new disks" in told
    refused = stack.command("instance", "rm", name, check=False)
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert f"instance {name} is deleted" in stack.command("instance", "rm", name, "--yes").stdout
    assert stack.command("instance", "show", name, check=False).returncode == 4
