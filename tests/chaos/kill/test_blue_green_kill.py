"""kill -9 of the control plane's processes while a revision comes up beside the one before: one is left, told once."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.chaos.kill.test_kill import is_back
from tests.e2e.test_instance_life import act, state, until
from tests.fixtures.stack import Stack

SERVER = 'trap "exit 0" TERM; sleep 600 & wait'
CHECK = {"test": ["CMD-SHELL", "[ -e /ready ]"], "interval": "0.2s"}


@pytest.fixture
def name(stack: Stack) -> Iterator[str]:
    """An instance that is ready."""
    made = f"beside-{secrets.token_hex(4)}"
    body = {"id": made, "container": {"image": stack.image, "command": ["sh", "-c", SERVER]}}
    answer = stack.ask("POST", "/instances", body)
    assert answer.status_code == 201, answer.text
    until(stack, made, "ready", revision=1)
    yield made
    stack.command("instance", "rm", made, "--yes")


def running(stack: Stack, name: str) -> list[Any]:
    found = stack.docker.containers.list(ignore_removed=True, filters={"label": f"gamekeeper.instance={name}"})
    return sorted(found, key=lambda container: str(container.name))


def told(stack: Stack, name: str) -> Counter[str]:
    events = stack.ask("GET", f"/events?instance={name}&limit=200").json()["items"]
    return Counter(event["kind"] for event in events)


def begin(stack: Stack, name: str, within: str) -> Any:
    """An update, in whose middle two run; the container of the one before."""
    (before,) = running(stack, name)
    container = {"image": stack.image, "command": ["sh", "-c", SERVER], "healthcheck": CHECK}
    more = {"ready": {"within": within}, "auto_revert": True, "strategy": "blue_green"}
    act(stack, name, "update", container=container, **more)
    stack.until(lambda: len(running(stack, name)) == 2)
    return before


@pytest.mark.parametrize("part", ["control_worker", "api"])
def test_a_revision_that_gets_ready_takes_over_once(stack: Stack, name: str, part: str) -> None:
    before = begin(stack, name, "5m")
    killed = stack.kill(part)
    stack.until(partial(is_back, stack, part, killed))
    assert running(stack, name)[0].id == before.id
    running(stack, name)[1].exec_run(["touch", "/ready"])
    until(stack, name, "ready", revision=2)
    stack.until(lambda: [found.name for found in running(stack, name)] == [f"gk-i-{name}-2"])
    found, counted = state(stack, name), told(stack, name)
    assert (counted["instance.revision_made"], counted["instance.reverted"]) == (1, 0)
    assert (found["serial"], found["crash_count"]) == (2, 0)


@pytest.mark.parametrize("part", ["control_worker", "api"])
def test_one_that_never_does_is_reverted_once(stack: Stack, name: str, part: str) -> None:
    before = begin(stack, name, "4s")
    started = before.attrs["State"]["StartedAt"]
    killed = stack.kill(part)
    stack.until(partial(is_back, stack, part, killed))
    until(stack, name, "ready", revision=1)
    stack.until(lambda: [found.id for found in running(stack, name)] == [before.id])
    before.reload()
    assert before.attrs["State"]["StartedAt"] == started
    counted = told(stack, name)
    assert (counted["instance.revision_made"], counted["instance.reverted"]) == (1, 1)
    assert state(stack, name)["serial"] == 3
