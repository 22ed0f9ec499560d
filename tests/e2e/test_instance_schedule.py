"""A schedule of an instance on a whole stack: a line that a real process reads, a restart, and times by the clock."""

from __future__ import annotations

import secrets
from typing import Any

from tests.e2e.test_instance_life import state, until
from tests.fixtures.stack import Stack

READER = 'echo "up"; while read line; do echo "got $line"; done'


def outcome(stack: Stack, name: str, schedule: str) -> dict[str, Any]:
    return dict(stack.ask("GET", f"/instances/{name}/schedules/{schedule}").json())


def test_schedules_of_an_instance(stack: Stack) -> None:
    name = f"timed-{secrets.token_hex(4)}"
    container = {"image": stack.image, "command": ["sh", "-c", READER]}
    schedules = [
        {"name": "warn", "cron": "@yearly", "command": "say restart soon"},
        {"name": "nightly", "cron": "0 5 * * *", "timezone": "Europe/Berlin", "action": "restart"},
        {"name": "minutely", "cron": "* * * * *", "command": "by the clock"},
    ]
    body = {"id": name, "container": container, "schedules": schedules, "stop": {"signal": "SIGKILL"}}
    assert stack.ask("POST", "/instances", body).status_code == 201
    until(stack, name, "ready")
    server = stack.docker.containers.get(f"gk-i-{name}-1")
    assert "done" in stack.command("instance", "schedule", "trigger", name, "warn").stdout
    stack.until(lambda: b"got say restart soon\n" in server.logs())

    stack.kill("agent")  # it is started again, and types the next line
    stack.until(lambda: stack.command("instance", "schedule", "trigger", name, "warn", check=False).returncode == 0)
    stack.until(lambda: server.logs().count(b"got say restart soon\n") == 2)

    stack.command("instance", "schedule", "trigger", name, "nightly")
    stack.until(lambda: outcome(stack, name, "nightly")["last_outcome"] == "done")
    stack.until(lambda: server.logs().count(b"up\n") == 2)
    stack.until(lambda: outcome(stack, name, "minutely")["last_outcome"] == "done")  # a minute at most
    assert b"got by the clock\n" in server.logs()

    assert "skipped" not in {item["last_outcome"] for item in stack.json("instance", "schedule", "ls", name)}
    stack.command("instance", "stop", name)
    refused = stack.command("instance", "schedule", "trigger", name, "nightly", check=False)
    assert (refused.returncode, "somebody stopped the instance" in refused.stdout) == (1, True)
    assert state(stack, name)["state"] == "stopped"
    assert stack.ask("DELETE", f"/instances/{name}").status_code == 202
