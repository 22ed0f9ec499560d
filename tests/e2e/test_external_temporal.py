"""``up --temporal``: a Temporal server of the user's own."""

from __future__ import annotations

from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from tests.fixtures.stack import Stack, node_id


def test_up_on_an_external_temporal(temporal_server: WorkflowEnvironment, tmp_path: Path, test_image: str) -> None:
    address = temporal_server.client.service_client.config.target_host
    stack = Stack(tmp_path / "state", test_image)
    stack.node = node_id("external")
    try:
        stack.up("--temporal", address)
        found = stack.status()["temporal"]
        assert found == {"pid": None, "address": address, "health": "ok", "external": True}
        run_id = stack.submit(
            f"name: x\nsteps:\n  - {{name: a, container: {{image: '{test_image}', commands: [echo outside]}}}}\n"
        )
        assert stack.until_ended(run_id)["state"] == "succeeded"
        stack.until(lambda: "outside" in stack.log(run_id, "a"))
    finally:
        stack.destroy()
