"""A server that outlives its run is whole for as long as it is there, and leaves nothing behind when it goes."""

from __future__ import annotations

from collections.abc import Iterator

import docker.models.containers
import pytest

from tests.fixtures.stack import Stack

SERVER = """
name: outliving
steps:
  - name: server
    type: service
    lifetime: node
    container: {{image: "{image}", command: [sleep, "600"], restart: unless-stopped}}
"""
PASSING = """
name: passing
steps:
  - name: service
    type: service
    lifetime: run
    container: {{image: "{image}", command: [sleep, "600"], stop_grace_period: 1s}}
  - name: job
    container: {{image: "{image}", commands: [echo done]}}
"""


@pytest.fixture
def server(stack: Stack) -> Iterator[docker.models.containers.Container]:
    run_id = stack.submit(SERVER.format(image=stack.image))
    assert stack.until_ended(run_id)["state"] == "succeeded"
    container = stack.containers(run_id)[0]
    yield container
    for left in stack.containers(run_id):
        left.remove(force=True)


def networks(stack: Stack, run_id: str) -> int:
    return len(stack.docker.networks.list(filters={"label": f"gamekeeper.run={run_id}"}))


def test_a_stopped_server_can_be_started_whatever_the_agent_did_meanwhile(
    stack: Stack, server: docker.models.containers.Container
) -> None:
    run_id = server.labels["gamekeeper.run"]
    server.stop(timeout=1)
    passing = stack.submit(PASSING.format(image=stack.image))
    ended = stack.until_ended(passing)
    assert ended["state"] == "succeeded", ended["steps"]
    stack.until(lambda: not networks(stack, passing))  # what a round removes is removed: one has been here
    server.start()
    server.reload()
    assert server.status == "running"
    assert networks(stack, run_id) == 1
    server.remove(force=True)
    stack.until(lambda: not networks(stack, run_id))


@pytest.mark.timeout(200)
def test_a_server_that_dies_shows_on_its_step_which_stays_as_it_ended(
    stack: Stack, server: docker.models.containers.Container
) -> None:
    run_id = server.labels["gamekeeper.run"]
    assert stack.step(run_id, "server")["trouble"] == ""
    server.stop(timeout=0)  # its restart policy does not start what somebody stopped
    trouble = stack.until(lambda: stack.step(run_id, "server")["trouble"])
    assert trouble.startswith("its container exited with 137 at ")
    assert trouble in stack.command("runs", "show", run_id).stdout.replace("\n", " ")
    assert (stack.run(run_id)["state"], stack.step(run_id, "server")["state"]) == ("succeeded", "succeeded")
    server.start()
    stack.until(lambda: stack.step(run_id, "server")["trouble"] == "")
