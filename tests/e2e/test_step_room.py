"""Steps of two runs that do not fit on the node together, on a real stack."""

from __future__ import annotations

from typing import Any

from tests.fixtures.stack import Stack

NAME = "room"


def wide(stack: Stack, seconds: int, **fields: Any) -> str:
    """A run whose one step is limited to more than half of the node's memory, which Docker does not set aside."""
    room = stack.json("node", "show", stack.node)["room"]["memory_bytes"]
    limits = {"deploy": {"resources": {"limits": {"memory": str(room["capacity"] * 6 // 10)}}}}
    container = {"image": stack.image, "command": ["sleep", str(seconds)], "init": True} | limits | fields
    spec = {"version": 1, "name": NAME, "steps": [{"name": "a", "container": container}]}
    return str(stack.ask("POST", "/runs", {"spec": spec, "node": stack.node}).json()["id"])


def test_a_step_waits_until_its_node_has_room(stack: Stack) -> None:
    first = wide(stack, 600)
    stack.until(lambda: stack.json("runs", "show", first)["steps"][0]["state"] == "running")
    second = wide(stack, 0)
    stack.until(lambda: stack.json("runs", "show", second)["waiting"] != "")
    shown = stack.json("runs", "show", second)
    assert shown["steps"][0]["waiting"].startswith(f"for room on node {stack.node}: ")
    assert "of memory are free" in stack.command("runs", "show", second).stdout
    stack.command("runs", "cancel", first)
    ends = [stack.until_ended(run_id) for run_id in (first, second)]
    assert [end["state"] for end in ends] == ["canceled", "succeeded"]
    assert ends[0]["steps"][0]["finished_at"] <= ends[1]["steps"][0]["started_at"]
