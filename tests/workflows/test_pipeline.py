"""PipelineWorkflow on a real Temporal server, with a dummy engine as the node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.service import RPCError

from gamekeeper.domain.node.node import NodeMode, NodeStatus, NodeView
from gamekeeper.domain.run.run import RunState, Supersession
from gamekeeper.domain.run.step import Reason, StepState
from gamekeeper.ports.container_engine import ContainerStatus
from tests.hang import HANG_SECONDS
from tests.workflows.conftest import ControlPlane, ended
from workflows import PipelineWorkflow

S, F, K, C = StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED, StepState.CANCELED


def step(name: str, needs: list[str] | dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    environment = {f"DUMMY_{key.upper()}": str(value) for key, value in fields.pop("dummy", {}).items()}
    container = {"image": "image", "environment": environment, "stop_grace_period": "1s"} | fields.pop("container", {})
    return {"name": name, "container": container} | ({} if needs is None else {"needs": needs}) | fields


async def test_branches_run_side_by_side(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    branches = [f"b{index}" for index in range(10)]
    handle = await control_plane.submit(
        step("a"), *[step(name, ["a"], dummy={"sleep": 600}) for name in branches], step("c", branches)
    )
    for name in branches:
        await control_plane.until_started(name)
    running = [info for info in await control_plane.engine.list_owned() if info.status is ContainerStatus.RUNNING]
    assert len(running) == 10
    for name in branches:
        control_plane.engine.finish(name)
    assert await ended(handle) == "completed"
    assert set(control_plane.states().values()) == {S}


async def test_a_failed_run_says_which_step_and_why(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"exit_code": 3}), step("b"), step("c", []))
    assert await ended(handle) == "ApplicationError"
    assert control_plane.states() == {"a": F, "b": K, "c": S}
    last = control_plane.store.snapshots[-1]
    assert (last.state, last.reason, last.message) == (RunState.FAILED, Reason.EXIT_CODE, "step a: exit code 3")
    assert last.finished_at is not None


async def test_retry_counts_tries_in_the_workflow(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    await control_plane.run(
        step("a", dummy={"exit_code": 75}, retry={"attempts": 3, "backoff": "10ms", "exit_codes": [75]})
    )
    assert control_plane.store.last("a").try_ == 3
    names = sorted(info.name[-3:] for info in await control_plane.engine.list_owned())
    assert names == ["a-1", "a-2", "a-3"]


async def test_finally_runs_after_a_failure(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    states = await control_plane.run(step("a", dummy={"exit_code": 1}), finally_=[step("z")])
    assert states == {"a": F, "z": S}


async def test_a_service_lives_as_long_as_its_run(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    states = await control_plane.run(
        step("db", type="service", lifetime="run"), step("a", ["db"], dummy={"sleep": 0.2})
    )
    assert states == {"db": S, "a": S}
    service = next(info for info in await control_plane.engine.list_owned() if "-db-" in info.name)
    assert service.status is ContainerStatus.EXITED


async def test_cancel_stops_containers_and_runs_finally(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    # sooner over than the next heartbeat of this worker: only a pushed cancel stops it
    handle = await control_plane.submit(
        step("db", type="service", lifetime="run"), step("a", dummy={"sleep": 20}), step("b"), finally_=[step("z")]
    )
    await control_plane.until_started("a")
    await handle.cancel(reason="enough")
    assert await asyncio.wait_for(ended(handle), HANG_SECONDS) == "CancelledError"
    assert control_plane.states() == {"db": S, "a": C, "b": C, "z": S}
    assert control_plane.store.last("a").exit_code == 143
    running = [info for info in await control_plane.engine.list_owned() if info.status is ContainerStatus.RUNNING]
    assert running == []
    last = control_plane.store.snapshots[-1]
    assert (last.state, last.reason, last.message) == (RunState.CANCELED, Reason.USER, "enough")


async def test_a_reason_that_a_user_writes_tells_no_cause(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"sleep": 60}))
    await control_plane.until_started("a")
    await handle.cancel(reason="superseded by run 1")
    assert await ended(handle) == "CancelledError"
    assert control_plane.store.snapshots[-1].reason is Reason.USER


async def test_a_newer_run_is_the_cause_when_it_says_so(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"sleep": 60}))
    await control_plane.until_started("a")
    await handle.signal(PipelineWorkflow.superseded, Supersession(by_run="1"))
    await handle.cancel(reason="make room")
    assert await ended(handle) == "CancelledError"
    assert control_plane.store.snapshots[-1].reason is Reason.SUPERSEDED
    assert control_plane.store.last("a").reason is Reason.SUPERSEDED


async def test_time_limit_of_the_run(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"sleep": 60}), timeout="500ms", finally_=[step("z")])
    assert await ended(handle) == "ApplicationError"
    assert control_plane.states() == {"a": C, "z": S}
    assert control_plane.store.last("a").reason is Reason.TIMEOUT
    assert control_plane.store.snapshots[-1].reason is Reason.TIMEOUT


async def test_an_offline_node_shows_at_once_with_its_time_limit(control_plane: ControlPlane) -> None:
    view = NodeView(id=control_plane.node, status=NodeStatus.OFFLINE)
    handle = await control_plane.submit(step("a"), view=view, node_wait=20)
    await control_plane.until("a", StepState.WAITING_NODE)
    assert control_plane.store.last("a").deadline_at is not None
    await control_plane.start_node()
    assert await ended(handle) == "completed"
    assert control_plane.store.last("a").deadline_at is None


async def test_a_node_that_stays_away_is_an_error_in_the_end(control_plane: ControlPlane) -> None:
    handle = await control_plane.submit(step("a"), node_wait=0.5)
    await ended(handle)
    last = control_plane.store.last("a")
    assert (last.state, last.reason) == (StepState.ERROR, Reason.AGENT_LOST)
    assert "is its agent running?" in last.message


async def test_maintenance_lets_running_steps_go_on_and_no_new_ones_start(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"sleep": 60}), step("b"))
    await control_plane.until_started("a")
    online = NodeView(id=control_plane.node, status=NodeStatus.ONLINE)
    await handle.signal(PipelineWorkflow.node_changed, online.model_copy(update={"mode": NodeMode.MAINTENANCE}))
    control_plane.engine.finish("a")
    await control_plane.until("b", StepState.WAITING_NODE)
    assert control_plane.store.last("a").state is S
    assert "is in maintenance" in control_plane.store.last("b").message
    await handle.signal(PipelineWorkflow.node_changed, online)
    assert await ended(handle) == "completed"


async def test_nothing_starts_on_a_disabled_node(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    view = NodeView(id=control_plane.node, status=NodeStatus.ONLINE, mode=NodeMode.DISABLED)
    await ended(await control_plane.submit(step("a"), view=view))
    last = control_plane.store.last("a")
    assert (last.state, last.reason) == (C, Reason.NODE_DISABLED)
    assert last.message == f"node {control_plane.node} is disabled"
    assert await control_plane.engine.list_owned() == []


async def test_disabling_a_node_stops_its_steps(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"sleep": 60}))
    await control_plane.until_started("a")
    view = NodeView(id=control_plane.node, status=NodeStatus.ONLINE, mode=NodeMode.DISABLED)
    await handle.signal(PipelineWorkflow.node_changed, view)
    assert await asyncio.wait_for(ended(handle), HANG_SECONDS) == "ApplicationError"
    last = control_plane.store.last("a")
    assert (last.state, last.reason) == (C, Reason.NODE_DISABLED)
    assert control_plane.store.snapshots[-1].state is RunState.FAILED


async def test_a_template_that_fails_late_is_an_error_of_its_step(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    spec = {"image": "image", "hostname": "${{ from_json(steps.a.status) }}"}
    late = {"image": "image", "stop_grace_period": "${{ steps.a.status }}"}
    states = await control_plane.run(
        step("a"), {"name": "b", "container": spec}, {"name": "c", "needs": ["a"], "container": late}
    )
    assert states == {"a": S, "b": StepState.ERROR, "c": StepState.ERROR}
    message = control_plane.store.last("c").message
    assert message == 'container.stop_grace_period: "succeeded" is not a duration; write one as 30s, 5m or 1h30m'


async def test_snapshots_only_grow(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    await control_plane.run(*[step(f"s{index}") for index in range(5)])
    versions = [snapshot.version for snapshot in control_plane.store.snapshots]
    assert versions == sorted(set(versions))


async def test_steps_can_be_asked_for(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a"))
    await ended(handle)
    found = await handle.query(PipelineWorkflow.get_steps)
    assert [(status.name, status.state) for status in found] == [("a", S)]


async def test_it_reads_well_in_the_temporal_ui(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", type="service", lifetime="run"), step("b"))
    await ended(handle)
    summaries = [
        event.user_metadata.summary.data.decode()
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert {'"a"', '"b"', '"machinery: stop a"'} <= set(summaries)
    assert {name for name in summaries if not name.startswith('"machinery: ')} == {'"a"', '"b"'}
    activity_ids = [
        event.activity_task_scheduled_event_attributes.activity_id
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert "a.1" in activity_ids


async def test_every_node_activity_has_its_time_limits(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("db", type="service", lifetime="run"), step("a", ["db"], timeout="5s"))
    await ended(handle)
    scheduled = [
        event.activity_task_scheduled_event_attributes
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    on_node = [item for item in scheduled if item.activity_type.name.startswith("step.")]
    assert len(on_node) == 3
    for item in on_node:
        assert item.heartbeat_timeout.seconds == 60
        assert item.schedule_to_start_timeout.seconds > 0
        assert item.start_to_close_timeout.seconds < 1200
        assert item.retry_policy.maximum_attempts == 0
        assert len(item.input.payloads[0].data) < 4096


async def test_a_workflow_id_is_used_once(control_plane: ControlPlane) -> None:
    handle = await control_plane.submit(step("a"), node_wait=0.2)
    await ended(handle)
    with pytest.raises(RPCError):
        await handle.signal(PipelineWorkflow.node_changed, NodeView(id="x"))
