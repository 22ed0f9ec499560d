"""Both sides agree again after one of them was away: by the number of the order, and each difference is an event."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.temporal.ids import instance_workflow_id
from tests.api.rest.test_instance import act, create, events, idle, keeper, until
from tests.fakes.instance_keeper import FakeKeeper
from tests.fixtures.api import ApiUnderTest

__all__ = ["keeper"]


def status(serial: int, seq: int = 100, **fields: Any) -> InstanceStatus:
    return InstanceStatus(
        **(
            {"instance": "arena", "serial": serial, "revision": 1, "desired": Desired.RUNNING}
            | {"state": InstanceState.READY, "since": datetime.now(UTC), "seq": seq}
            | fields
        )
    )


async def report(api: ApiUnderTest, *statuses: InstanceStatus, complete: bool = True) -> list[str]:
    return await api.process.services.instances.reports.observe("node-1", statuses, complete=complete)


async def kinds(api: ApiUnderTest) -> list[str]:
    return [kind for kind, _, _ in await events(api)]


@pytest.mark.parametrize("serial", [1, 9], ids=["older", "newer"])
async def test_a_node_with_another_order_gets_the_newest_again(
    api: ApiUnderTest, keeper: FakeKeeper, serial: int
) -> None:
    """Its journal was restored, or the control plane's database was."""
    await create(api)
    await idle(api)
    await act(api, "stop")
    await idle(api)
    assert await report(api, status(serial)) == []
    newest = max(2, serial) + 1
    order = await keeper.until_ordered(newest)
    assert order.desired is Desired.STOPPED
    assert (await until(api, lambda found: found["serial"] == newest))["desired"] == "stopped"
    assert "differs" in await kinds(api)


async def test_a_node_that_agrees_hears_nothing(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    assert await report(api, status(1)) == []
    await api.process.instances.reconcile()
    assert (keeper.serials(), "differs" in await kinds(api)) == ([1], False)


async def test_a_node_that_lost_its_disk_gets_its_instances_again(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    assert await report(api) == []
    assert (await keeper.until_ordered(2)).desired is Desired.RUNNING
    told = [message for kind, message, _ in await events(api) if kind == "creating"]
    assert told == ["node node-1 does not know it any more; it was ready"]


@pytest.mark.parametrize(
    "change",
    [{"crash_count": 2}, {"container_id": "another"}, {"revision": 2}],
    ids=["it crashed", "it was made again", "it was updated"],
)
async def test_a_difference_behind_the_same_state_is_an_event(
    api: ApiUnderTest, keeper: FakeKeeper, change: dict[str, Any]
) -> None:
    """Agent and control plane were away at the same time: nobody told what came in between."""
    await create(api)
    await idle(api)
    known = status(1, seq=1000, container_id="one", revision=1)
    await report(api, known)
    before = await newest_event(api)
    await report(api, known.model_copy(update={"seq": 1001}))
    assert await newest_event(api) == before
    await report(api, known.model_copy(update={"seq": 1002} | change))
    newest = await newest_event(api)
    assert (newest["kind"], newest["seq"] > before["seq"]) == ("instance.ready", True)
    assert newest["data"].items() >= change.items()


async def newest_event(api: ApiUnderTest) -> dict[str, Any]:
    items = (await api.http.get("/events", params={"instance": "arena"})).json()["items"]
    return dict(max(items, key=lambda item: item["seq"]))


async def test_an_instance_that_nobody_knows_is_told_and_kept(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    assert await report(api, status(1, instance="lost")) == []
    found = (await api.http.get("/events", params={"instance": "lost"})).json()["items"]
    assert [item["kind"] for item in found] == ["instance.unknown"]


async def test_what_was_deleted_here_is_removed_there(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    await api.http.delete("/instances/arena")
    await until(api, lambda found: found.get("code") == "not_found")
    assert await report(api, status(1)) == ["arena"]
    assert await report(api, status(2, state=InstanceState.DELETED)) == []


async def test_a_machine_that_was_set_up_anew_counts_from_one_again(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    await report(api, status(1, seq=700, message="a"))
    for seq, complete, message in ((3, False, "a"), (1, True, "b"), (2, False, "c")):
        await report(api, status(1, seq=seq, message={3: "old", 1: "b", 2: "c"}[seq]), complete=complete)
        assert (await api.http.get("/instances/arena")).json()["message"] == message


async def test_a_disabled_node_holds_and_an_active_one_has_them_again(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    await api.http.patch("/nodes/node-1", json={"mode": "disabled"})
    found = await until(api, lambda found: found["state"] == "stopped" and found["operation"] is None)
    assert (found["held"], found["reason"], found["desired"]) == ("node_disabled", "node_disabled", "running")
    await api.http.patch("/nodes/node-1", json={"mode": "active"})
    found = await until(api, lambda found: found["state"] == "ready" and found["operation"] is None)
    assert (found["held"], [order.held for order in keeper.orders]) == (
        None,
        [None, InstanceReason.NODE_DISABLED, None],
    )


async def test_a_workflow_that_somebody_ended_is_begun_again(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    await api.client.get_workflow_handle(instance_workflow_id("arena")).terminate()
    await api.process.instances.reconcile()
    await keeper.until_ordered(2)
    await idle(api)
    await api.client.get_workflow_handle(instance_workflow_id("arena")).terminate()
    await until_accepted(api, "stop")  # nor need anybody wait for the reconciler
    assert (await until(api, lambda found: found["state"] == "stopped"))["desired"] == "stopped"


async def until_accepted(api: ApiUnderTest, action: str) -> None:
    """The order is given anew first, which holds the lock for a moment."""
    while (await api.http.post(f"/instances/arena/{action}", json={})).status_code == 409:
        await asyncio.sleep(0.05)


async def test_an_instance_whose_time_is_over_stops(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api, expires="1h")
    await idle(api)
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    await api.http.patch("/instances/arena", json={"expires_at": soon.isoformat()})
    found = await until(api, lambda found: found["state"] == "stopped" and found["operation"] is None)
    assert (found["desired"], found["reason"]) == ("stopped", "expired")
    refused = await api.http.post("/instances/arena/start", json={})
    assert (refused.status_code, "--expires" in refused.json()["hint"]) == (409, True)
    await api.http.patch("/instances/arena", json={"expires_at": None})
    assert (await api.http.post("/instances/arena/start", json={})).status_code == 202


async def test_an_end_in_time_of_which_the_workflow_did_not_hear(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await create(api)
    await idle(api)
    async with api.database.write() as session:
        (await InstanceRepository(session).get("arena")).expires_at = datetime.now(UTC) - timedelta(minutes=1)
    await api.process.instances.reconcile()
    assert (await until(api, lambda found: found["state"] == "stopped"))["reason"] == "expired"
