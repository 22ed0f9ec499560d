"""Steps that wait for room on their node, in runs on a real Temporal server; the room is in memory."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from gamekeeper.control_plane.placement.wakes import AT_WILL, RoomWakes
from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow, RunRow, StepRow
from gamekeeper.domain.node.node import NodeMode, NodeStatus, NodeView
from gamekeeper.domain.run.control import StepCancel
from gamekeeper.domain.run.step import ROOM_WAIT, Reason, StepState
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import step
from tests.workflows.test_started_needs import replay
from workflows import PipelineWorkflow

S, F, C = StepState.SUCCEEDED, StepState.FAILED, StepState.CANCELED
WIDE = {"deploy": {"resources": {"limits": {"cpus": "2"}}}}


def wide(name: str, needs: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    return step(name, needs, container=WIDE | fields.pop("container", {}), **fields)


async def test_steps_without_room_for_all_run_one_after_another(control_plane: ControlPlane) -> None:
    control_plane.rooms.free = 1
    await control_plane.start_node()
    handle = await control_plane.submit(*[wide(name, []) for name in "abcd"], step("quick", []))
    assert await ended(handle) == "completed"
    assert set(control_plane.states().values()) == {S}
    assert control_plane.rooms.most == 1
    await replay(handle)


async def test_all_is_given_back(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    await control_plane.run(
        wide("well", []),
        wide("badly", [], dummy={"exit_code": 1}, retry={"attempts": 3, "backoff": "1ms"}),
        wide("missing", [], container=WIDE | {"image": "missing"}),
        wide("service", [], type="service"),
        wide("sick", [], type="service", dummy={"sleep": 0, "exit_code": 1}),
    )
    released = [str(each.key) for found in control_plane.store.snapshots for each in found.released]
    taken = [str(room.key) for request in control_plane.rooms.requests for room in request.asked]
    assert sorted(released) == sorted(taken)
    assert sum("/badly/" in key for key in taken) == 3
    assert set(control_plane.rooms.woken) == {control_plane.node}


async def test_a_service_keeps_its_room_until_the_run_ends(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    await control_plane.run(wide("db", type="service", lifetime="run"), wide("job"))
    (last,) = [request for request in control_plane.rooms.requests if request.asked[0].key.step == "job"]
    assert [kept.step for kept in last.kept] == ["db"]
    assert [each.key.step for each in control_plane.store.snapshots[-1].released][-1] == "db"


async def test_what_never_has_room_is_an_error_at_once(control_plane: ControlPlane) -> None:
    control_plane.rooms.never = "node n1: 2 of 2 CPUs are free, 3 are asked for"
    await control_plane.start_node()
    await control_plane.run(wide("a"))
    found = control_plane.store.last("a")
    assert (found.state, found.reason, found.message) == (
        StepState.ERROR,
        Reason.NO_ROOM,
        "node n1: 2 of 2 CPUs are free, 3 are asked for",
    )


@pytest.mark.parametrize("by_step", [True, False])
async def test_a_cancel_ends_the_wait(control_plane: ControlPlane, by_step: bool) -> None:
    control_plane.rooms.free = 0
    await control_plane.start_node()
    handle = await control_plane.submit(wide("a"), step("b"))
    await control_plane.until("a", StepState.WAITING_NODE)
    if by_step:
        await handle.execute_update(PipelineWorkflow.cancel_step, StepCancel(step="a", by="test"))
    else:
        await handle.cancel()
    await ended(handle)
    assert control_plane.store.last("a").state is C
    assert await control_plane.engine.list_owned() == []
    assert control_plane.rooms.held == set()


async def test_who_waits_is_woken_and_goes_on(control_plane: ControlPlane) -> None:
    control_plane.rooms.free = 0
    await control_plane.start_node()
    handle = await control_plane.submit(wide("a"))
    await control_plane.until("a", StepState.WAITING_NODE)
    assert control_plane.store.last("a").message == "waits for room on node n1: 0 of 0 places are free"
    control_plane.rooms.free = 1
    await handle.signal(PipelineWorkflow.node_changed, NodeView(id=control_plane.node, status=NodeStatus.ONLINE))
    assert await ended(handle) == "completed"


async def test_a_node_that_is_disabled_ends_the_wait(control_plane: ControlPlane) -> None:
    control_plane.rooms.free = 0
    await control_plane.start_node()
    handle = await control_plane.submit(wide("a"))
    await control_plane.until("a", StepState.WAITING_NODE)
    disabled = NodeView(id=control_plane.node, status=NodeStatus.ONLINE, mode=NodeMode.DISABLED)
    await handle.signal(PipelineWorkflow.node_changed, disabled)
    await ended(handle)
    assert control_plane.store.last("a").reason is Reason.NODE_DISABLED


async def test_the_most_urgent_step_is_asked_for_first(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    await control_plane.run(wide("late", [], priority=1), wide("soon", [], priority=99))
    (request,) = control_plane.rooms.requests
    assert [room.key.step for room in request.asked] == ["soon", "late"]


async def test_a_step_that_states_nothing_is_noted_and_asks_nobody(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(step("a", dummy={"sleep": 600}))
    await control_plane.until("a", StepState.STARTING)
    await control_plane.until_started("a")
    noted = [str(room.key) for found in control_plane.store.snapshots for room in found.noted]
    assert [key.split("/")[1:] for key in noted] == [["a", "1"]]
    control_plane.engine.finish("a")
    await ended(handle)
    assert [str(each.key) for found in control_plane.store.snapshots for each in found.released] == noted
    assert control_plane.rooms.requests == []


async def test_on_a_node_with_limits_every_step_asks(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    view = NodeView(id=control_plane.node, status=NodeStatus.ONLINE, has_limits=True)
    await control_plane.run(step("a"), view=view)
    assert len(control_plane.rooms.requests) == 1


async def test_a_run_that_began_before_goes_on_as_it_did(control_plane: ControlPlane) -> None:
    control_plane.rooms.free = 0
    await control_plane.start_node()
    assert await control_plane.run(wide("a"), behaviour=6) == {"a": S}
    assert control_plane.rooms.requests == []


async def test_an_instance_holds_the_room_itself(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    await control_plane.run(wide("a", type="service", lifetime="node"), version=1)
    assert control_plane.rooms.requests == []


async def test_a_held_step_holds_no_room(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(wide("a", dummy={"exit_code": 1}, on_failure="hold 1h"))
    await control_plane.until("a", StepState.HELD)
    assert [str(each.key).split("/")[1] for found in control_plane.store.snapshots for each in found.released] == ["a"]
    await handle.cancel()
    await ended(handle)


async def test_room_that_is_given_back_wakes_the_runs_that_wait_there(
    control_plane: ControlPlane, database: Database
) -> None:
    control_plane.rooms.free = 0
    await control_plane.start_node()
    handle = await control_plane.submit(wide("a"))
    await control_plane.until("a", StepState.WAITING_NODE)
    run_id, node = handle.id.removeprefix("run/"), control_plane.node
    async with database.write() as session:
        session.add_all([NodeRow(id=node, name=node), RunRow(id=run_id, pipeline="p"), RunRow(id="gone", pipeline="p")])
        await session.flush()
        waiting: dict[str, Any] = {"node_id": node, "state": StepState.WAITING_NODE.value, "message": ROOM_WAIT}
        session.add_all(StepRow(run_id=each, name="a", **waiting) for each in (run_id, "gone"))
    now = [0.0]
    wakes = RoomWakes(database, control_plane.client, lambda: now[0])
    for _ in range(AT_WILL + 5):
        await wakes.wake([node, "another"])
    assert await signals(handle) == AT_WILL  # others may end every moment, and each signal stays in the history
    now[0] = 1.0
    control_plane.rooms.free = 1
    await wakes.wake([node])
    assert await ended(handle) == "completed"
    assert await signals(handle) == AT_WILL + 1


async def signals(handle: WorkflowHandle[Any, Any]) -> int:
    kinds = [event.event_type async for event in handle.fetch_history_events()]
    return kinds.count(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
