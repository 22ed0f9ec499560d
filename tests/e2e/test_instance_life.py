"""Life of an instance on a whole stack: made, stopped, killed from outside, updated, gone; the agent is killed too."""

from __future__ import annotations

import secrets
from typing import Any

from tests.fixtures.stack import Stack


def state(stack: Stack, name: str) -> dict[str, Any]:
    return dict(stack.ask("GET", f"/instances/{name}").json())


def until(stack: Stack, name: str, wanted: str, **fields: Any) -> dict[str, Any]:
    def is_so() -> dict[str, Any] | None:
        found = state(stack, name)
        has_all = all(found.get(key) == value for key, value in fields.items())
        return found if found.get("state") == wanted and found["operation"] is None and has_all else None

    return dict(stack.until(is_so))


def act(stack: Stack, name: str, action: str, **body: Any) -> None:
    answer = stack.ask("POST", f"/instances/{name}/{action}", body)
    assert answer.status_code == 202, answer.text


def test_life_of_an_instance(stack: Stack) -> None:
    name = f"life-{secrets.token_hex(4)}"
    script = 'echo "up $MARK"; trap "exit 0" TERM; sleep 600 & wait'
    container = {"image": stack.image, "command": ["sh", "-c", script], "environment": {"MARK": "one"}}
    made = stack.ask("POST", "/instances", {"id": name, "container": container})
    assert made.status_code == 201, made.text
    ready = until(stack, name, "ready", revision=1)
    server = stack.docker.containers.get(f"gk-i-{name}-1")
    assert ready["container_id"] == server.id

    act(stack, name, "stop")
    until(stack, name, "stopped")
    act(stack, name, "start")
    until(stack, name, "ready")

    server.kill()
    stack.until(lambda: state(stack, name)["crash_count"] == 1)
    until(stack, name, "ready")
    server.reload()
    started = server.attrs["State"]["StartedAt"]
    stack.kill("agent")

    act(stack, name, "update", container=container | {"environment": {"MARK": "two"}})
    until(stack, name, "ready", revision=2)
    server = stack.docker.containers.get(f"gk-i-{name}-2")
    assert server.attrs["State"]["StartedAt"] > started
    stack.until(lambda: "up two" in stack.ask("GET", f"/instances/{name}/logs").text)
    shown = stack.ask("GET", f"/instances/{name}/logs").text
    assert shown.count("up one") == 3
    assert shown.index("up one") < shown.index("up two")
    act(stack, name, "rollback")
    until(stack, name, "ready", revision=1)
    stack.until(lambda: stack.ask("GET", f"/instances/{name}/logs").text.count("up one") == 4)

    gone = stack.ask("DELETE", f"/instances/{name}?volumes=true")
    assert gone.status_code == 202, gone.text
    stack.until(
        lambda: not stack.docker.containers.list(all=True, ignore_removed=True, filters={"name": f"gk-i-{name}"})
    )
