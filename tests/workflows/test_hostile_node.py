"""A node that lies, or whose agent is of another version, fails its own steps; the run goes on to its finally steps."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.common import RawValue
from temporalio.worker import Worker

from gamekeeper.domain.run.step import Reason, StepState
from gamekeeper.temporal import queues
from tests.workflows.conftest import ControlPlane, control_plane, ended
from tests.workflows.instance.test_hostile_node import plain
from tests.workflows.test_pipeline import step

__all__ = ["control_plane"]

GOOD = plain({"state": "succeeded"})


@pytest.mark.parametrize(
    "payload",
    [
        plain({"state": "paused"}),
        plain({"state": "succeeded", "started_at": "never"}),
        plain(["nonsense"]),
        plain(None),
        plain(b"{"),
        plain(b"x", b"nobody/knows"),
        Payload(),
    ],
    ids=["state", "time", "list", "null", "torn", "encoding", "empty"],
)
async def test_an_end_that_can_not_be_read_is_an_error_of_its_step(
    control_plane: ControlPlane, payload: Payload
) -> None:
    @activity.defn(name="step.run_job")
    async def run_job(argument: dict[str, Any]) -> RawValue:
        return RawValue(payload if argument["key"]["step"] == "a" else GOOD)

    @activity.defn(name="step.start_service")
    async def start_service(_: dict[str, Any]) -> RawValue:
        return RawValue(GOOD)

    @activity.defn(name="step.stop_service")
    async def stop_service(_: dict[str, Any]) -> RawValue:
        return RawValue(payload)

    for queue in (queues.node_queue(control_plane.node), queues.node_control_queue(control_plane.node)):
        worker = Worker(control_plane.client, task_queue=queue, activities=[run_job, start_service, stop_service])
        await control_plane.stack.enter_async_context(worker)
    service = step("db", type="service", lifetime="run")
    handle = await control_plane.submit(service, step("a"), finally_=[step("z")])
    assert await ended(handle) == "ApplicationError"
    found = control_plane.store.last("a")
    assert (found.state, found.reason) == (StepState.ERROR, Reason.INTERNAL)
    assert "tells an end of the step that this server can't read" in found.message
    assert control_plane.store.last("z").state is StepState.SUCCEEDED
    names = [EventType.Name(event.event_type) async for event in handle.fetch_history_events()]
    assert "EVENT_TYPE_WORKFLOW_TASK_FAILED" not in names
