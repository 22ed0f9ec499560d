"""A node may tell, refuse or forget anything: it harms neither the rows of its instances nor their actions."""

from __future__ import annotations

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from gamekeeper.db.models import InstanceRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.temporal import queues
from gamekeeper.temporal.ids import instance_workflow_id
from tests.api.rest.test_instance import act, create, events, idle, keeper, online, until
from tests.api.services.instance.test_reconcile import report, status
from tests.fakes.instance_keeper import FakeKeeper, as_ordered
from tests.fixtures.api import ApiUnderTest

__all__ = ["keeper"]


async def row_of(api: ApiUnderTest) -> InstanceRow:
    async with api.database.read() as session:
        row = await InstanceRepository(session).find_whatever("arena")
    assert row is not None
    return row


async def deleted(api: ApiUnderTest) -> None:
    await until(api, lambda found: found.get("code") == "not_found")


async def test_numbers_that_no_order_ever_had_hold_up_nothing(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    large = 2**63 - 1
    await report(api, status(large, seq=large, revision=large, crash_count=large, exit_code=-large), complete=False)
    assert (await row_of(api)).reported_serial == 1
    keeper._seq = 2**64
    await act(api, "stop")
    assert (await idle(api))["serial"] == 2
    await api.http.delete("/instances/arena")
    await deleted(api)


async def test_a_node_that_lost_its_disk_during_an_action(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    await report(api, status(1, seq=1000), complete=False)
    keeper.may_end.clear()
    await api.http.delete("/instances/arena")
    await keeper.until_ordered(2)
    await report(api)
    keeper.may_end.set()
    await deleted(api)


async def test_a_removal_that_the_node_refuses_keeps_the_instance(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api, container={"image": "a:1", "ports": ["8303:8303/udp"]})
    await idle(api)

    def settles(order: InstanceOrder) -> tuple[InstanceState, InstanceReason | None]:
        if order.desired is Desired.REMOVED:
            raise ApplicationError("a hook says no", non_retryable=True)
        return as_ordered(order)

    keeper.settles = settles
    await api.http.delete("/instances/arena")
    found = await until(api, lambda found: found["state"] == "failed")
    assert (found["message"], found["reason"], [port["number"] for port in found["held_ports"]]) == (
        *("a hook says no", "internal"),
        [8303],
    )
    keeper.settles = as_ordered
    await idle(api)
    await api.http.delete("/instances/arena")
    await deleted(api)
    assert (await create(api))["held_ports"] == []


async def test_a_kill_of_an_update_leaves_no_room_behind(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api, container={"image": "a:1", "ports": ["8303:8303/udp"]})
    await idle(api)
    keeper.may_end.clear()
    await act(api, "update", {"container": {"image": "a:2", "ports": ["9000:9000/udp"]}})
    await act(api, "kill")
    assert [port["number"] for port in (await idle(api))["held_ports"]] == [9000]


async def test_what_is_left_on_another_node_is_told(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    reports = api.process.services.instances.reports
    assert await reports.observe("node-2", [status(1)], complete=True) == []
    assert [kind for kind, _, _ in await events(api)][-1] == "unknown"


async def test_a_removal_ends_when_its_node_is_removed(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    keeper.may_end.clear()
    await api.http.delete("/instances/arena")
    await keeper.until_ordered(2)
    assert (await api.http.delete("/nodes/node-1", params={"force": True})).status_code < 300
    await deleted(api)
    keeper.may_end.set()


async def test_a_key_is_of_one_action_and_of_one_life(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    key = {"Idempotency-Key": "k"}
    body = {"id": "arena", "container": {"image": "a:1"}}
    await api.http.post("/instances", json=body, headers=key)
    await idle(api)
    await api.http.post("/instances/arena/stop", json={}, headers=key)
    await idle(api)
    await api.http.post("/instances/arena/start", json={}, headers=key)
    await keeper.until_ordered(3)
    await idle(api)
    await api.http.delete("/instances/arena")
    await deleted(api)
    assert (await api.http.post("/instances", json=body, headers=key)).status_code == 201


async def test_an_expired_instance_is_not_told_of_its_end_during_an_action(
    api: ApiUnderTest, keeper: FakeKeeper
) -> None:
    await create(api)
    await idle(api)
    keeper.may_end.clear()
    await act(api, "restart")
    async with api.database.write() as session:
        row = await InstanceRepository(session).get("arena")
        row.expires_at = row.created_at.replace(year=2020)
    handle = api.client.get_workflow_handle(instance_workflow_id("arena"))
    await api.process.instances.reconcile()
    names = [event.WhichOneof("attributes") async for event in handle.fetch_history_events()]
    assert "workflow_execution_signaled_event_attributes" not in names
    keeper.may_end.set()
    await idle(api)


@pytest.mark.parametrize("has_it", [False, True], ids=["that never had it", "that has it"])
async def test_a_removal_from_an_agent_without_a_keeper(api: ApiUnderTest, has_it: bool) -> None:
    """Its version is too old for instances."""
    await api.add_node()
    await online(api, "node-1")
    await api.start_control_worker()

    @activity.defn(name="something.else")
    async def other() -> None:
        return None

    worker = Worker(api.client_of_node("node-1"), task_queue=queues.node_control_queue("node-1"), activities=[other])
    await api.stack.enter_async_context(worker)
    await create(api)
    found = await idle(api)
    assert (found["state"], "upgrade it" in found["message"]) == ("failed", True)
    if has_it:
        await report(api, status(1), complete=False)
    await api.http.delete("/instances/arena")
    if not has_it:
        await deleted(api)
    else:
        assert (await until(api, lambda found: found["state"] == "failed"))["desired"] == "removed"


async def test_a_rollback_on_a_removed_node_is_refused_and_ends_nothing(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    await act(api, "update", {"container": {"image": "a:2", "ports": ["9000:9000/udp"]}})
    await idle(api)
    await api.http.delete("/nodes/node-1", params={"force": True})
    await act(api, "rollback", status=409)
    await api.http.delete("/instances/arena")
    await deleted(api)
    assert [message for kind, message, _ in await events(api) if kind == "asked"] == ["update", "remove"]
