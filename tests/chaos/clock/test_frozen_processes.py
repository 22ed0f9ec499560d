"""Each process of the stack in turn is frozen (SIGSTOP). The supervisor puts another in its place, and no step ends."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.fixtures.stack import Stack

LIMIT_SECONDS = 15


@pytest.mark.parametrize("process", ["temporal", "api", "control_worker", "gateway", "agent"])
def test_a_frozen_process_is_replaced_and_told(stack: Stack, process: str) -> None:
    waits = "until [ -e /tmp/end ]; do sleep 0.1; done"
    run_id = stack.submit(
        f"name: frozen\nsteps:\n  - {{name: a, container: {{image: '{stack.image}', commands: ['{waits}']}}}}\n"
    )
    stack.until(lambda: stack.step(run_id, "a")["state"] == "running")
    container = stack.containers(run_id)[0]
    others = {other: stack.pid(other) for other in ("temporal", "api", "control_worker", "gateway", "agent")}
    frozen = others.pop(process)
    os.kill(frozen, signal.SIGSTOP)

    def replaced() -> dict[str, Any] | None:
        found = stack.status()
        shown: dict[str, Any] = found["agents"][0] if process == "agent" else found[process]
        return shown if shown["health"] == "ok" and shown["pid"] != frozen else None

    part = stack.until(replaced)
    assert part["replaced"]["silent_seconds"] < LIMIT_SECONDS, "the time that counted, without what a slow machine took"

    def told() -> bool:
        events = stack.json("events", "--kind", "process.replaced")
        return any(event["data"]["at"][:19] == part["replaced"]["at"][:19] for event in events)

    stack.until(told)
    assert "was replaced at" in stack.command("status", check=False).stdout.replace("\n", " ")
    assert others == {other: stack.pid(other) for other in others}
    container.exec_run(["touch", "/tmp/end"])
    step = stack.until_ended(run_id)["steps"][0]
    assert (step["state"], step["try"], step["container"]) == ("succeeded", 1, container.id)
