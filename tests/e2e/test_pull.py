"""A step whose image is not on the node, through the real agent: it is pulled, and the run shows that."""

from __future__ import annotations

from tests.agent_worker.docker_engine.test_pull import pushed
from tests.fixtures.stack import Stack

__all__ = ["pushed"]


def test_a_step_pulls_its_image(stack: Stack, pushed: str) -> None:
    spec = f"{{name: pulls, steps: [{{name: work, container: {{image: '{pushed}', command: [echo, pulled]}}}}]}}"
    run_id = stack.submit(spec)
    run = stack.until_ended(run_id)
    assert run["state"] == "succeeded", run
    assert stack.log(run_id, "work") == "pulled\n"
    events = stack.json("events", "--run", run_id)
    assert any(event["kind"] == "step.pulling" and event["message"].startswith("pulling") for event in events)
