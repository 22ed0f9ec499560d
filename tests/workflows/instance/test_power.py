"""Power actions on an instance: one at a time, a lock that says who holds it, and what passes it."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError

from gamekeeper.domain.instance.control import ChangeRequest, InstanceAction, PowerAction, PowerRequest, RemoveRequest
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.step import Strategy
from gamekeeper.errors import ConflictError, NotFoundError
from tests.factories import make_container
from tests.workflows.instance.conftest import Kept

A = InstanceAction


def power(action: str, reason: str = "") -> PowerRequest:
    return PowerRequest(action=PowerAction(action), by="key:eva", reason=reason)


async def test_every_action_is_an_order_with_a_number_of_its_own(kept: Kept) -> None:
    await kept.ready()
    for number, action in enumerate(("stop", "start", "restart", "kill"), start=2):
        begun = await kept.calls.power(kept.id, power(action, "why not"))
        assert (begun.serial, begun.revision) == (number, 1)
        await kept.store.until_ended(number)
    assert kept.keeper.serials() == [1, 2, 3, 4, 5]
    assert [order.desired for order in kept.keeper.orders] == [
        *(Desired.RUNNING, Desired.STOPPED, Desired.RUNNING, Desired.RUNNING, Desired.STOPPED)
    ]
    assert [(order.restart, order.kill) for order in kept.keeper.orders[3:]] == [(True, False), (False, True)]
    assert [(asked.action, asked.by, asked.reason) for asked in kept.store.begun[:2]] == [
        (A.CREATE, "key:admin", ""),
        (A.STOP, "key:eva", "why not"),
    ]
    ended = kept.store.ended[1].outcome
    assert ended is not None
    assert ended.status.state is InstanceState.STOPPED


async def test_the_lock_says_who_holds_it_and_what_to_do(kept: Kept) -> None:
    await kept.ready()
    kept.keeper.may_end.clear()
    await kept.calls.power(kept.id, power("restart"))
    with pytest.raises(
        ConflictError, match=r"restart by key:eva goes on since 20\d\d-.* UTC; wait for its end, or kill"
    ):
        await kept.calls.power(kept.id, power("stop"))
    kept.keeper.may_end.set()
    await kept.store.until_ended(2)
    assert (await kept.calls.power(kept.id, power("stop"))).serial == 3


async def test_of_two_actions_at_once_one_is_refused(kept: Kept) -> None:
    await kept.ready()
    kept.keeper.may_end.clear()
    calls = [kept.calls.power(kept.id, power(action)) for action in ("stop", "restart")]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["ActionEnd", "ConflictError"]
    assert len(kept.store.begun) == 2


async def test_the_same_key_is_the_same_request(kept: Kept) -> None:
    await kept.ready()
    answers = [await kept.calls.power(kept.id, power("restart"), key="once") for _ in range(2)]
    await kept.store.until_ended(2)
    assert [answer.serial for answer in answers] == [2, 2]
    assert kept.keeper.serials() == [1, 2]


@pytest.mark.parametrize("node_is_there", [True, False])
async def test_a_kill_takes_the_place_of_what_goes_on(kept: Kept, node_is_there: bool) -> None:
    """Of an order that the node has, and of one that waits for it."""
    kept.keeper.may_end.clear()
    if node_is_there:
        await kept.start_node()
    await kept.start()
    if node_is_there:
        await kept.keeper.until_ordered(1)
    else:
        await kept.store.until_begun(1)
    assert (await kept.calls.power(kept.id, power("kill"))).serial == 2
    if not node_is_there:
        await kept.start_node()
    await kept.store.until_ended(2)
    assert [ended.serial for ended in kept.store.ended] == [2]
    assert kept.keeper.serials() == ([1, 2] if node_is_there else [2])


async def test_a_removal_passes_and_ends_the_workflow(kept: Kept) -> None:
    kept.keeper.may_end.clear()
    await kept.start_node()
    await kept.start()
    await kept.keeper.until_ordered(1)
    await kept.calls.remove(kept.id, RemoveRequest(volumes=True, by="key:eva"))
    order = await kept.keeper.until_ordered(2)
    assert (order.desired, order.volumes, order.kill) == (Desired.REMOVED, True, False)
    with pytest.raises(ConflictError, match="remove by key:eva goes on"):
        await kept.calls.power(kept.id, power("start"))
    await kept.calls.power(kept.id, power("kill"))  # it hastens the removal, and stops none
    order = await kept.keeper.until_ordered(3)
    assert (order.desired, order.kill) == (Desired.REMOVED, True)
    await kept.handle.result()
    with pytest.raises(NotFoundError):
        await kept.calls.power(kept.id, power("start"))


async def test_what_the_read_model_refuses_is_refused_and_leaves_the_lock(kept: Kept) -> None:
    await kept.ready()
    kept.store.refusal = "no room on node-1"
    with pytest.raises(ConflictError, match="no room on node-1"):
        await kept.calls.power(kept.id, power("stop"))
    kept.store.refusal = ""
    await kept.calls.power(kept.id, power("stop"))
    await kept.store.until_ended(2)


async def test_the_way_of_the_newest_change_is_that_of_every_order_after_it(kept: Kept) -> None:
    """A start, or an order that is repeated, may be what tries the revision again beside the one that runs."""
    await kept.ready()
    spec = InstanceSpec(container=make_container(image="a:2"))
    await kept.calls.change(kept.id, ChangeRequest(spec=spec, strategy=Strategy.BLUE_GREEN))
    await kept.store.until_ended(2)
    await kept.calls.power(kept.id, power("start"))
    await kept.store.until_ended(3)
    await kept.calls.change(kept.id, ChangeRequest(revision=1))
    await kept.store.until_ended(4)
    ways = [order.strategy.value for order in kept.keeper.orders]
    assert ways == ["recreate", "blue_green", "blue_green", "recreate"]
    assert kept.store.begun[1].strategy is Strategy.BLUE_GREEN


async def test_one_that_is_not_ready_beside_the_other_goes_back(kept: Kept) -> None:
    """The revision before was never stopped; the order that follows makes it the current one again."""
    await kept.ready()
    kept.keeper.runs_on = 1
    spec = InstanceSpec(container=make_container(image="a:2"))
    request = ChangeRequest(spec=spec, strategy=Strategy.BLUE_GREEN, auto_revert=True, waits=True)
    end = await kept.calls.change(kept.id, request)
    assert (end.reverted, end.is_ready, end.state) == (True, False, InstanceState.READY)
    assert kept.store.actions() == [A.CREATE, A.UPDATE, A.REVERT]
    assert [(order.revision, order.strategy.value) for order in kept.keeper.orders[1:]] == [
        (2, "blue_green"),
        (1, "recreate"),
    ]


async def test_a_cancel_of_the_workflow_ends_nothing(kept: Kept) -> None:
    """Nobody but a removal ends an instance, least of all in the middle of an action."""
    await kept.ready()
    kept.keeper.may_end.clear()
    await kept.calls.power(kept.id, power("restart"))
    await kept.handle.cancel()
    kept.keeper.may_end.set()
    await kept.store.until_ended(2)
    await kept.calls.power(kept.id, power("stop"))
    await kept.store.until_ended(3)
    assert (await kept.handle.describe()).status is WorkflowExecutionStatus.RUNNING


async def test_an_order_that_the_keeper_refuses_is_told(kept: Kept) -> None:
    await kept.ready()

    def refuse(order: object) -> tuple[InstanceState, InstanceReason | None]:
        raise ApplicationError("its input is not signed", non_retryable=True)

    kept.keeper.settles = refuse
    await kept.calls.power(kept.id, power("restart"))
    ended = await kept.store.until_ended(2)
    assert (ended.outcome, ended.failure) == (None, "its input is not signed")


async def test_a_removed_node_is_no_hindrance_to_a_removal(kept: Kept) -> None:
    await kept.ready()
    kept.store.node_is_there = False
    await kept.calls.remove(kept.id, RemoveRequest(by="key:eva"))
    await kept.handle.result()
    assert "was removed" in kept.store.ended[-1].failure
    assert kept.keeper.serials() == [1]


async def test_an_idle_instance_costs_no_event(kept: Kept) -> None:
    await kept.ready()
    before = await kept.idle_events()
    description = await kept.handle.describe()
    assert not description.raw_description.pending_activities
    assert not any("TIMER" in event for event in before)
    assert await kept.events() == before
