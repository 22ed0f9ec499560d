"""A run that loads itself: what comes before it is loaded is neither lost nor in its way."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from gamekeeper.domain.node.node import NodeStatus, NodeView
from gamekeeper.domain.run.control import PauseRequest
from gamekeeper.domain.run.run import BEHAVIOUR, RunById, RunInput, RunResult, RunState
from gamekeeper.domain.run.step import StepState
from tests.factories import make_pipeline
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import step
from workflows import PipelineWorkflow

BY = "key:tester"


async def begin(plane: ControlPlane, *steps: dict[str, Any], **fields: Any) -> WorkflowHandle[Any, RunResult]:
    """Started, and asking for the rest; its node is offline in what it is to load."""
    run_id = uuid.uuid4().hex[:12]
    plane.intake.may_load.clear()
    nodes = {plane.node: NodeView(id=plane.node, status=NodeStatus.OFFLINE)}
    pipeline = make_pipeline(*steps, node=plane.node, **fields)
    plane.intake.runs[run_id] = RunInput(run_id=run_id, pipeline=pipeline, nodes=nodes, behaviour=BEHAVIOUR)
    handle = await plane.client.start_workflow(
        PipelineWorkflow.run, RunById(run_id=run_id, behaviour=BEHAVIOUR), id=f"run/{run_id}", task_queue=plane.queue
    )
    assert await plane.intake.asked_for.get() == run_id
    return handle


async def test_a_node_that_came_back_meanwhile(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await begin(control_plane, step("a"))
    await handle.signal(PipelineWorkflow.node_changed, NodeView(id=control_plane.node, status=NodeStatus.ONLINE))
    control_plane.intake.may_load.set()
    assert await ended(handle) == "completed"
    assert control_plane.states() == {"a": StepState.SUCCEEDED}
    assert [status.state for status in control_plane.store.history("a")].count(StepState.WAITING_NODE) == 0


@pytest.mark.parametrize("fields", [{}, {"concurrency": {"group": "arena"}}], ids=["alone", "in a group"])
async def test_a_cancel_that_came_meanwhile(control_plane: ControlPlane, fields: dict[str, Any]) -> None:
    await control_plane.start_node()
    handle = await begin(control_plane, step("a"), **fields)
    await handle.cancel(reason="never mind")
    control_plane.intake.may_load.set()
    assert await ended(handle) == "CancelledError"
    last = control_plane.store.snapshots[-1]
    assert (last.state, last.message) == (RunState.CANCELED, "never mind")
    assert await control_plane.engine.list_owned() == []


async def test_it_refuses_updates_until_it_is_loaded(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await begin(control_plane, step("a"))
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update(PipelineWorkflow.set_paused, PauseRequest(paused=True, by=BY))
    assert "the run only just begins; ask again" in str(caught.value.cause)
    await handle.cancel()
    control_plane.intake.may_load.set()
    await ended(handle)


async def test_one_that_is_not_there(control_plane: ControlPlane) -> None:
    handle = await begin(control_plane, step("a"))
    control_plane.intake.runs.clear()
    control_plane.intake.may_load.set()
    assert await ended(handle) == "ActivityError"
