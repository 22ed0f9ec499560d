"""The life of an instance beyond single actions: revisions that go back, its node, its time, and its long history."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from gamekeeper.domain.instance.control import ChangeRequest, InstanceAction, PowerAction, PowerRequest
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.node.node import NodeMode, NodeStatus, NodeView
from tests.factories import make_container
from tests.fakes.instance_keeper import as_ordered
from tests.workflows.instance.conftest import Kept
from workflows.instance import actions

A = InstanceAction


def spec(image: str = "a:2") -> InstanceSpec:
    return InstanceSpec(container=make_container(image=image))


def fails(revision: int) -> object:
    def settle(order: InstanceOrder) -> tuple[InstanceState, InstanceReason | None]:
        if order.revision == revision and order.desired is Desired.RUNNING:
            return InstanceState.CRASH_LOOP, InstanceReason.EXIT_CODE
        return as_ordered(order)

    return settle


async def test_a_change_that_is_waited_for_tells_its_end(kept: Kept) -> None:
    await kept.ready()
    end = await kept.calls.change(kept.id, ChangeRequest(spec=spec(), waits=True, by="run:1"))
    assert (end.state, end.is_ready, end.revision, end.container_id) == (InstanceState.READY, True, 2, "c-2")
    end = await kept.calls.change(kept.id, ChangeRequest(revision=1, waits=True))
    assert (end.revision, kept.store.actions()) == (1, [A.CREATE, A.UPDATE, A.ROLLBACK])


@pytest.mark.parametrize("auto_revert", [True, False])
async def test_a_revision_that_does_not_get_ready(kept: Kept, auto_revert: bool) -> None:
    kept.keeper.settles = fails(2)  # type: ignore[assignment]
    await kept.ready()
    end = await kept.calls.change(kept.id, ChangeRequest(spec=spec(), auto_revert=auto_revert, waits=True))
    assert (end.state, end.reason, end.reverted) == (InstanceState.CRASH_LOOP, InstanceReason.EXIT_CODE, auto_revert)
    assert kept.store.current == (1 if auto_revert else 2)
    assert [order.revision for order in kept.keeper.orders] == ([1, 2, 1] if auto_revert else [1, 2])


async def test_nothing_is_reverted_of_an_instance_that_should_not_run(kept: Kept) -> None:
    await kept.ready()
    await kept.calls.power(kept.id, PowerRequest(action=PowerAction.STOP))
    await kept.store.until_ended(2)
    end = await kept.calls.change(kept.id, ChangeRequest(spec=spec(), auto_revert=True, waits=True))
    assert (end.state, end.reverted, kept.store.current) == (InstanceState.STOPPED, False, 2)


async def test_a_change_that_also_starts(kept: Kept) -> None:
    await kept.ready(desired=Desired.STOPPED)
    end = await kept.calls.change(kept.id, ChangeRequest(spec=spec(), starts=True, waits=True))
    assert end.is_ready


async def test_a_kill_ends_the_wait_for_a_change(kept: Kept) -> None:
    await kept.ready()
    kept.keeper.may_end.clear()
    waiting = asyncio.create_task(kept.calls.change(kept.id, ChangeRequest(spec=spec(), auto_revert=True, waits=True)))
    await kept.keeper.until_ordered(2)
    await kept.calls.power(kept.id, PowerRequest(action=PowerAction.KILL, by="key:eva"))
    end = await waiting
    assert (end.state, end.reverted, end.message) == (None, False, "kill by key:eva took its place")
    await kept.store.until_ended(3)
    assert kept.store.actions() == [A.CREATE, A.UPDATE, A.KILL]


async def test_a_node_that_is_disabled_and_active_again(kept: Kept) -> None:
    await kept.ready()
    view = NodeView(id=kept.node, status=NodeStatus.ONLINE)
    kept.store.held = InstanceReason.NODE_DISABLED
    await kept.calls.tell_node(kept.id, view.model_copy(update={"mode": NodeMode.DISABLED}))
    order = await kept.keeper.until_ordered(2)
    assert (order.desired, order.held) == (Desired.STOPPED, InstanceReason.NODE_DISABLED)
    await kept.store.until_ended(2)
    await kept.calls.tell_node(kept.id, view.model_copy(update={"mode": NodeMode.DISABLED}))  # told twice, done once
    kept.store.held = None
    await kept.calls.tell_node(kept.id, view)
    order = await kept.keeper.until_ordered(3)
    assert (order.desired, order.held) == (Desired.RUNNING, None)
    await kept.store.until_ended(3)
    assert kept.store.actions() == [A.CREATE, A.HOLD, A.RELEASE]


async def test_an_end_in_time_is_a_timer_and_moves(kept: Kept) -> None:
    await kept.ready(expires_at=datetime.now(UTC) + timedelta(days=1))
    assert "EVENT_TYPE_TIMER_STARTED" in await kept.idle_events()
    await kept.calls.expire_at(kept.id, datetime.now(UTC))
    order = await kept.keeper.until_ordered(2)
    assert (order.desired, order.held) == (Desired.STOPPED, InstanceReason.EXPIRED)
    await kept.store.until_ended(2)
    await kept.calls.power(kept.id, PowerRequest(action=PowerAction.START))
    await kept.store.until_ended(3)
    assert kept.store.actions() == [A.CREATE, A.EXPIRE, A.START]


async def test_a_long_history_is_begun_anew_between_actions(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MAX_EVENTS", 30)
    await kept.ready()
    first = (await kept.handle.describe()).run_id
    for serial in range(2, 8):
        await kept.calls.power(kept.id, PowerRequest(action=PowerAction.RESTART))
        await kept.store.until_ended(serial)
        await kept.idle_events()
    assert (await kept.handle.describe()).run_id != first
    assert kept.keeper.serials() == list(range(1, 8))
    assert len(await kept.events()) < 60


async def test_what_is_no_message_fails_no_task(kept: Kept) -> None:
    await kept.ready()
    signals: list[tuple[str, Any]] = [("reconcile", 1), ("node_changed", "nonsense"), ("expire_at", 5), ("nope", 1)]
    for name, argument in signals:
        await kept.handle.signal(name, argument)
    updates: list[tuple[str, Any]] = [("power", "nonsense"), ("change", {"revision": "x"}), ("nope", 1)]
    for name, argument in updates:
        with pytest.raises(WorkflowUpdateFailedError):
            await kept.handle.execute_update(name, argument)
    await kept.calls.power(kept.id, PowerRequest(action=PowerAction.STOP))
    assert not [event for event in await kept.events() if "TASK_FAILED" in event]
