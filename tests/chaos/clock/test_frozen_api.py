"""The api is stopped (SIGSTOP) for longer than a lease. It heard nobody then, so it may blame nobody for it."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from api.settings import ApiSettings
from tests.fixtures.stack import Stack

LEASE = timedelta(milliseconds=ApiSettings.model_fields["lease_ms"].default)


def node(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.json("node", "show", stack.node)
    return found


def last_seen(stack: Stack) -> datetime:
    return datetime.fromisoformat(node(stack)["last_seen_at"])


def test_a_stopped_api_blames_no_node(stack: Stack) -> None:
    stack.until(lambda: node(stack)["status"] == "online")
    waits = "until [ -e /tmp/end ]; do sleep 0.1; done"
    run_id = stack.submit(
        f"name: frozen\nsteps:\n  - {{name: a, container: {{image: '{stack.image}', commands: ['{waits}']}}}}\n"
    )
    stack.until(lambda: stack.step(run_id, "a")["state"] == "running")
    before = max(event["seq"] for event in stack.json("events"))
    pid, supervisor = stack.pid("api"), stack.pid("supervisor")
    os.kill(supervisor, signal.SIGSTOP)  # it would put another api in the place of one that is frozen
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.5 * LEASE.total_seconds())
    finally:
        os.kill(pid, signal.SIGCONT)
        os.kill(supervisor, signal.SIGCONT)
    thawed = datetime.now(UTC)
    stack.until(lambda: last_seen(stack) > thawed + LEASE)  # by then a wrong word would have been spoken
    told = [event for event in stack.json("events", "--kind", "node", "--limit", "500") if event["seq"] > before]
    assert [event["kind"] for event in told if event["kind"] in ("node.suspect", "node.offline")] == []
    assert [event["reason"] for event in told if event["kind"] == "node.condition_raised"] == []
    assert stack.pid("api") == pid
    assert node(stack)["status"] == "online"
    stack.command("runs", "exec", run_id, "a", "--", "touch", "/tmp/end")  # its pushes reach the agent again
    assert stack.until_ended(run_id)["state"] == "succeeded"
