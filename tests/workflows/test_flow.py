"""Matrices, outputs, approvals, holds, pauses and reruns, on a real Temporal server with a dummy engine."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from gamekeeper.domain.node.node import NodeStatus, NodeView
from gamekeeper.domain.run.control import ApprovalAnswer, HoldAction, HoldAnswer, PauseRequest, StepCancel
from gamekeeper.domain.run.limits import MAX_SNAPSHOT, encoded_size
from gamekeeper.domain.run.run import BEHAVIOUR, RunInput, RunState
from gamekeeper.domain.run.step import Reason, StepState, StepStatus
from tests.factories import make_pipeline
from tests.hang import HANG_SECONDS
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import C, F, K, S, step
from workflows import PipelineWorkflow

BY = "key:tester"


async def environment_of(plane: ControlPlane, name: str) -> dict[str, str]:
    (info,) = await plane.engine.list_owned(step=name)
    return plane.engine._by_id[info.id].orders


async def test_outputs_reach_later_steps(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    states = await control_plane.run(
        step("a", dummy={"step_output": "digest=abc;ignored=1"}, outputs=["digest"]),
        step("b", container={"environment": {"X": "${{ steps.a.outputs.digest }}"}}),
        step("c", ["a"], **{"if": "steps.a.outputs.digest == 'other'"}),
    )
    assert states == {"a": S, "b": S, "c": K}
    assert (await environment_of(control_plane, "b"))["X"] == "abc"
    assert control_plane.store.last("a").outputs == {"digest": "abc"}


async def test_a_declared_output_that_is_missing_fails_the_step(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    assert await control_plane.run(step("a", dummy={"step_output": "x=1"}, outputs=["digest"])) == {"a": F}
    last = control_plane.store.last("a")
    assert (last.reason, last.exit_code) == (Reason.OUTPUT, 0)
    assert last.message.startswith('step "a": ended without output "digest"')


async def test_large_outputs_fit_into_the_read_model_in_pieces(control_plane: ControlPlane) -> None:
    """Sixty steps that end together hand on 12 KB each: more than one snapshot may carry."""
    await control_plane.start_node()
    text = "x=" + "y" * 12_000
    names = [f"a{index}" for index in range(60)]
    steps = [step(name, [], dummy={"step_output": text, "sleep": 600}, outputs=["x"]) for name in names]
    handle = await control_plane.submit(*steps)
    for name in names:
        await control_plane.until_started(name)
    for name in names:
        control_plane.engine.finish(name)
    await ended(handle)
    states = control_plane.states()
    assert set(states.values()) == {S}
    assert all(control_plane.store.last(name).outputs["x"] == text[2:] for name in names)
    snapshots = control_plane.store.snapshots
    assert [snapshot.state.is_final for snapshot in snapshots] == [*[False] * (len(snapshots) - 1), True]
    sizes = [encoded_size([status.outputs for status in snapshot.steps]) for snapshot in snapshots]
    assert sum(sizes) > MAX_SNAPSHOT >= max(sizes)


async def test_a_matrix_from_an_output(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    cell = {"N": "${{ matrix.n }}", "DUMMY_STEP_OUTPUT": "square=${{ matrix.n * matrix.n }}"}
    states = await control_plane.run(
        step("list", dummy={"step_output": "all=[1, 2, 3]"}, outputs=["all"]),
        step(
            "each",
            matrix={"n": "${{ from_json(steps.list.outputs.all) }}"},
            outputs=["square"],
            container={"environment": cell},
        ),
        step("sum", container={"environment": {"X": "${{ steps.each.outputs.square }}"}}),
    )
    assert states == {"list": S, "each": S, "each.0": S, "each.1": S, "each.2": S, "sum": S}
    assert (await environment_of(control_plane, "each.1"))["N"] == "2"
    assert (await environment_of(control_plane, "sum"))["X"] == '["1","4","9"]'
    last = control_plane.store.last("each.2")
    assert (last.cell_of, last.cell, last.matrix) == ("each", 2, {"n": 3})


async def test_max_parallel_bounds_a_matrix(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    await control_plane.run(step("a", matrix={"n": [1, 2, 3, 4]}, max_parallel=2, dummy={"sleep": 0.3}))
    spans = [(row.started_at, row.finished_at) for row in map(control_plane.store.last, (f"a.{n}" for n in range(4)))]
    times = sorted((start, end) for start, end in spans if start and end)
    assert len(times) == 4
    assert times[2][0] >= min(times[0][1], times[1][1])


@pytest.mark.parametrize(
    ("fail_fast", "last"), [(True, (C, Reason.UPSTREAM)), (False, (S, None))], ids=["fail_fast", "all cells"]
)
async def test_a_cell_that_fails(control_plane: ControlPlane, fail_fast: bool, last: tuple[Any, Any]) -> None:
    await control_plane.start_node()
    environment = {
        "DUMMY_EXIT_CODE": "${{ matrix.n == 1 ? 3 : 0 }}",
        "DUMMY_SLEEP": "${{ matrix.n == 1 ? 0.0 : 1.5 }}",
    }
    states = await control_plane.run(
        step("a", matrix={"n": [0, 1]}, fail_fast=fail_fast, container={"environment": environment}), step("b")
    )
    assert (states["a"], states["a.1"], states["b"]) == (F, F, K)
    other = control_plane.store.last("a.0")
    assert (other.state, other.reason) == last
    assert "a.1 (n=1): exit code 3" in control_plane.store.last("a").message


async def test_an_approval_is_given_once(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(
        step("a", dummy={"step_output": "what=v7"}, outputs=["what"]),
        {"name": "ask", "type": "approval", "approval": {"message": "${{ steps.a.outputs.what }}?"}},
        step("b", container={"environment": {"WHO": "${{ steps.ask.outputs.by }}"}}),
    )
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update(
            PipelineWorkflow.answer_approval, ApprovalAnswer(step="b", approved=True, by=BY), id="early"
        )
    assert 'step "b" waits for no approval' in str(caught.value.cause)
    await control_plane.until("ask", StepState.RUNNING)
    assert control_plane.store.last("ask").message == "v7?"
    yes = ApprovalAnswer(step="ask", approved=True, by=BY, comment="go")
    await handle.execute_update(PipelineWorkflow.answer_approval, yes)
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update(PipelineWorkflow.answer_approval, yes)
    assert "was approved already by key:tester" in str(caught.value.cause)
    assert await ended(handle) == "completed"
    assert (await environment_of(control_plane, "b"))["WHO"] == BY
    assert control_plane.store.last("ask").message == "approved by key:tester: go"
    accepted = [
        event
        async for event in handle.fetch_history_events()
        if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    assert len(accepted) == 1, "what was refused is in the history"


@pytest.mark.parametrize(
    ("answer", "reason", "message"),
    [
        (ApprovalAnswer(step="ask", approved=False, by=BY), Reason.REJECTED, "rejected by key:tester"),
        (None, Reason.TIMEOUT, "nobody answered within 300ms"),
    ],
)
async def test_an_approval_that_is_not_given(
    control_plane: ControlPlane, answer: ApprovalAnswer | None, reason: Reason, message: str
) -> None:
    await control_plane.start_node()
    expires = "1h" if answer else "300ms"
    ask = {"name": "ask", "type": "approval", "approval": {"message": "go?", "expires": expires}}
    handle = await control_plane.submit(ask, step("b"))
    if answer:
        await control_plane.until("ask", StepState.RUNNING)
        await handle.execute_update(PipelineWorkflow.answer_approval, answer)
    await ended(handle)
    last = control_plane.store.last("ask")
    assert (last.state, last.reason, last.message) == (F, reason, message)
    assert control_plane.store.last("b").state is K


async def test_a_cancel_ends_an_approval(control_plane: ControlPlane) -> None:
    ask = {"name": "ask", "type": "approval", "approval": {"message": "go?"}}
    handle = await control_plane.submit(ask)
    await control_plane.until("ask", StepState.RUNNING)
    await handle.cancel()
    await ended(handle)
    assert control_plane.store.last("ask").state is C


@pytest.mark.parametrize(
    ("action", "state", "following"), [(HoldAction.SKIP, K, S), (HoldAction.FAIL, F, K)], ids=["skip", "fail"]
)
async def test_a_held_step(
    control_plane: ControlPlane, action: HoldAction, state: StepState, following: StepState
) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"exit_code": 3}, on_failure="hold 1h"), step("b"))
    await control_plane.until("a", StepState.HELD)
    held = control_plane.store.last("a")
    assert (held.exit_code, held.reason) == (3, Reason.EXIT_CODE)
    assert held.deadline_at is not None
    await handle.execute_update(PipelineWorkflow.answer_hold, HoldAnswer(step="a", action=action, by=BY))
    await ended(handle)
    assert control_plane.states() == {"a": state, "b": following}


async def test_a_held_step_is_tried_again_with_the_next_number(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"exit_code": 3}, on_failure="hold 1h"))
    await control_plane.until("a", StepState.HELD)
    retry = HoldAnswer(step="a", action=HoldAction.RETRY, by=BY)
    await handle.execute_update(PipelineWorkflow.answer_hold, retry)
    async with asyncio.timeout(HANG_SECONDS):
        while [status.state for status in control_plane.store.history("a")].count(StepState.HELD) < 2:
            await asyncio.sleep(0.02)
    assert control_plane.store.last("a").try_ == 2
    await handle.execute_update(PipelineWorkflow.answer_hold, HoldAnswer(step="a", action=HoldAction.FAIL, by=BY))
    await ended(handle)
    with pytest.raises(Exception, match=r"already completed|not found"):
        await handle.execute_update(PipelineWorkflow.answer_hold, retry)


async def test_nobody_looks_after_a_held_step(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    assert await control_plane.run(step("a", dummy={"exit_code": 3}, on_failure="hold 200ms")) == {"a": F}


async def test_a_paused_run_starts_nothing(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"sleep": 60}), step("b"))
    await control_plane.until_started("a")
    await handle.execute_update(PipelineWorkflow.set_paused, PauseRequest(paused=True, by=BY))
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(PipelineWorkflow.set_paused, PauseRequest(paused=True, by=BY))
    control_plane.engine.finish("a")
    await control_plane.until("a", S)
    assert control_plane.store.snapshots[-1].state is RunState.PAUSED
    assert not await control_plane.engine.list_owned(step="b")
    await handle.execute_update(PipelineWorkflow.set_paused, PauseRequest(paused=False, by=BY))
    assert await ended(handle) == "completed"
    assert control_plane.states() == {"a": S, "b": S}


async def test_a_cancel_of_a_paused_run_runs_its_finally_steps(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"sleep": 60}), step("b", []), finally_=[step("z")])
    await control_plane.until_started("a")
    await handle.execute_update(PipelineWorkflow.set_paused, PauseRequest(paused=True, by=BY))
    await handle.cancel()
    await ended(handle)
    assert control_plane.store.last("z").state is S


async def test_one_step_is_canceled(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(
        step("a", dummy={"sleep": 60}),
        step("b", []),
        step("c", ["a"]),
        step("d", [], matrix={"n": [1, 2]}, dummy={"sleep": 60}),
    )
    await control_plane.until_started("a")
    await control_plane.until_started("d.1")
    await handle.execute_update(PipelineWorkflow.cancel_step, StepCancel(step="a", by=BY, reason="wrong map"))
    await handle.execute_update(PipelineWorkflow.cancel_step, StepCancel(step="d", by=BY))
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(PipelineWorkflow.cancel_step, StepCancel(step="nothing", by=BY))
    await ended(handle)
    states = control_plane.states()
    assert states == {"a": C, "b": S, "c": K, "d": C, "d.0": C, "d.1": C}
    last = control_plane.store.last("a")
    assert (last.reason, last.message) == (Reason.USER, "canceled by key:tester: wrong map")
    assert control_plane.store.snapshots[-1].state is RunState.FAILED


async def test_a_rerun_takes_over_what_stands(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    steps = [
        step("a", outputs=["x"]),
        step("m", matrix={"n": [1, 2]}),
        step("b", container={"environment": {"X": "${{ steps.a.outputs.x }}"}}),
    ]
    pipeline = make_pipeline(*steps, node=control_plane.node)
    old = {"type": "job", "node": control_plane.node, "state": S, "try_": 1, "carried_from": "old"}
    carried = [
        StepStatus(name="a", position=0, outputs={"x": "kept"}, **old),
        StepStatus(name="m", position=1, **old),
        StepStatus(name="m.0", position=1, cell_of="m", cell=0, matrix={"n": 1}, **old),
        StepStatus(name="m.1", position=1, cell_of="m", cell=1, matrix={"n": 2}, **old),
    ]
    run_id = uuid.uuid4().hex[:12]
    view = NodeView(id=control_plane.node, status=NodeStatus.ONLINE)
    handle = await control_plane.client.start_workflow(
        PipelineWorkflow.run,
        RunInput(run_id=run_id, pipeline=pipeline, nodes={view.id: view}, carried=carried, behaviour=BEHAVIOUR),
        id=f"run/{run_id}",
        task_queue=control_plane.queue,
    )
    assert await ended(handle) == "completed"
    assert control_plane.states() == {"a": S, "m": S, "m.0": S, "m.1": S, "b": S}
    assert control_plane.store.last("a").carried_from == "old"
    assert (await environment_of(control_plane, "b"))["X"] == "kept"
    assert [info.name.split("-")[-2] for info in await control_plane.engine.list_owned()] == ["b"]


async def test_urgent_steps_go_first(control_plane: ControlPlane) -> None:
    """On a node that comes back to a full queue, the step with the higher priority starts first."""
    away = NodeView(id=control_plane.node, status=NodeStatus.OFFLINE)
    names = [f"s{index}" for index in range(8)]
    handle = await control_plane.submit(
        *[step(name, []) for name in names], step("urgent", [], priority=100), view=away
    )
    for name in (*names, "urgent"):
        await control_plane.until(name, StepState.WAITING_NODE)
    await control_plane.start_node(at_once=1)
    assert await ended(handle) == "completed"
    order = sorted((control_plane.store.last(name).started_at, name) for name in (*names, "urgent"))
    assert "urgent" in [name for _, name in order[:2]]


async def test_what_is_done_for_a_step_is_a_group_in_the_history(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(
        step("a", dummy={"exit_code": 1}, retry={"attempts": 2, "backoff": "10ms", "on": ["failure"]}),
        step("each", [], matrix={"n": [1, 2]}),
    )
    await ended(handle)
    groups = [
        (event.activity_task_scheduled_event_attributes.activity_id, marker.label.id)
        for event in (await handle.fetch_history()).events
        for marker in event.event_group_markers
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert sorted(groups) == [("a.1", "a"), ("a.2", "a"), ("each.0.1", "each"), ("each.1.1", "each")]


async def test_a_step_that_waits_is_canceled_at_once(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(
        step("a", dummy={"sleep": 30}), step("b", ["a"]), step("c", ["b"], **{"if": "always()"})
    )
    await control_plane.until_started("a")
    await handle.execute_update(PipelineWorkflow.cancel_step, StepCancel(step="b", by=BY))
    await control_plane.until("c", StepState.SUCCEEDED)
    assert control_plane.store.last("b").message == "canceled by key:tester"
    assert not control_plane.store.last("a").state.is_final
    await handle.execute_update(PipelineWorkflow.cancel_step, StepCancel(step="a", by=BY))
    await ended(handle)
    assert control_plane.states()["b"] is StepState.CANCELED
