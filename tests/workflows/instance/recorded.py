"""Lives of instances, for the recorder of histories."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client, WorkflowHandle

from gamekeeper.domain.instance.control import ChangeRequest, PowerAction, PowerRequest, RemoveRequest
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.step import Strategy
from gamekeeper.domain.node.node import NodeMode, NodeStatus, NodeView
from tests.factories import make_container
from tests.fakes.instance_keeper import as_ordered
from tests.workflows.instance.conftest import Kept
from tests.workflows.instance.test_schedule import Timed


async def recorded_instances(client: Client) -> dict[str, WorkflowHandle[Any, Any]]:
    """Each in its own control worker's hands, and removed at its end."""
    return {
        "instance-power": await _power(client),
        "instance-revert": await _revert(client),
        "instance-beside": await _beside(client),
        "instance-schedule": await _schedule(client),
    }


async def _schedule(client: Client) -> WorkflowHandle[Any, Any]:
    timed = Timed(client)
    async with timed.stack:
        timed.schedules.text = "say soon"
        await timed.add_node(timed.keeper.type_in)
        await timed.start()
        await timed.calls.run_now(timed.terms, "recorder")
        return timed.handle("recorder")


async def _power(client: Client) -> WorkflowHandle[Any, Any]:
    kept = Kept(client)
    async with kept.stack:
        await kept.ready()
        for serial, action in enumerate((PowerAction.STOP, PowerAction.START, PowerAction.RESTART), start=2):
            await kept.calls.power(kept.id, PowerRequest(action=action, by="key:recorder", reason="recorded"))
            await kept.store.until_ended(serial)
        kept.keeper.may_end.clear()
        await kept.calls.power(kept.id, PowerRequest(action=PowerAction.RESTART))
        await kept.keeper.until_ordered(5)
        await kept.calls.power(kept.id, PowerRequest(action=PowerAction.KILL))
        await kept.store.until_ended(6)
        kept.keeper.may_end.set()
        return await _removed(kept)


async def _revert(client: Client) -> WorkflowHandle[Any, Any]:
    kept = Kept(client)

    def settle(order: InstanceOrder) -> tuple[InstanceState, InstanceReason | None]:
        crashes = order.revision == 2 and order.desired is Desired.RUNNING
        return (InstanceState.CRASH_LOOP, InstanceReason.EXIT_CODE) if crashes else as_ordered(order)

    kept.keeper.settles = settle
    async with kept.stack:
        await kept.ready()
        spec = InstanceSpec(container=make_container(image="a:2"))
        await kept.calls.change(kept.id, ChangeRequest(spec=spec, auto_revert=True, waits=True))
        kept.store.held = InstanceReason.NODE_DISABLED
        view = NodeView(id=kept.node, status=NodeStatus.ONLINE, mode=NodeMode.DISABLED)
        await kept.calls.tell_node(kept.id, view)
        await kept.store.until_ended(4)
        await kept.calls.reconcile(kept.id)
        await kept.store.until_ended(5)
        return await _removed(kept)


async def _beside(client: Client) -> WorkflowHandle[Any, Any]:
    """One that is ready beside the one before, one that is not and goes back, and one that does not go back."""
    kept = Kept(client)
    async with kept.stack:
        await kept.ready()
        spec = InstanceSpec(container=make_container(image="a:2"))
        request = ChangeRequest(spec=spec, strategy=Strategy.BLUE_GREEN, waits=True)
        await kept.calls.change(kept.id, request)
        kept.keeper.runs_on = 2
        await kept.calls.change(kept.id, request.model_copy(update={"auto_revert": True}))
        await kept.calls.change(kept.id, request)
        await kept.calls.power(kept.id, PowerRequest(action=PowerAction.START))
        await kept.store.until_ended(6)
        kept.keeper.runs_on = None
        return await _removed(kept)


async def _removed(kept: Kept) -> WorkflowHandle[Any, Any]:
    await kept.calls.remove(kept.id, RemoveRequest(volumes=True))
    await kept.handle.result()
    return kept.handle
