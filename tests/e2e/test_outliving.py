"""A server that outlives its run is kept up whatever happens to it, and leaves nothing behind when it goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.stack import Stack

SERVER = """
name: {name}
steps:
  - name: server
    type: service
    lifetime: node
    container: {{image: "{image}", command: [sleep, "600"], restart: unless-stopped, stop_grace_period: 1s}}
"""


def group(stack: Stack) -> str:
    """The pipeline, which other stacks on this machine's engine must not have as well."""
    return f"outliving-{stack.node}"


def instance(stack: Stack) -> str:
    return f"{group(stack)}-server"


@pytest.fixture
def run_id(stack: Stack) -> Iterator[str]:
    made = stack.submit(SERVER.format(image=stack.image, name=group(stack)))
    assert stack.until_ended(made)["state"] == "succeeded"
    yield made
    if stack.command("instance", "show", instance(stack), check=False).returncode == 0:
        stack.command("instance", "rm", instance(stack), "--yes")


def show(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.get(f"/instances/{instance(stack)}").json()
    return found


@pytest.mark.timeout(200)
def test_a_server_that_somebody_kills_comes_back_and_its_step_stays_as_it_ended(stack: Stack, run_id: str) -> None:
    container = stack.docker.containers.get(show(stack)["container_id"])
    container.kill()
    stack.until(lambda: (found := show(stack))["state"] == "ready" and found["crash_count"] == 1)
    container.reload()
    assert container.status == "running"
    assert (stack.run(run_id)["state"], stack.step(run_id, "server")["state"]) == ("succeeded", "succeeded")


@pytest.mark.timeout(200)
def test_nothing_of_it_is_left_when_it_is_removed(stack: Stack, run_id: str) -> None:
    mine: dict[str, Any] = {"label": f"gamekeeper.instance={instance(stack)}"}
    assert stack.containers(run_id) == []
    assert len(stack.docker.containers.list(all=True, ignore_removed=True, filters=mine)) == 1
    stack.command("instance", "rm", instance(stack), "--yes")
    assert stack.docker.containers.list(all=True, ignore_removed=True, filters=mine) == []
    stack.until(lambda: not stack.docker.networks.list(filters={"label": f"gamekeeper.group={group(stack)}"}))
