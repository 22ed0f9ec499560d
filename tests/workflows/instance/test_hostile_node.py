"""A node that lies, or whose agent is of another version, fails its own actions and never the workflow."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from gamekeeper.domain.instance.control import InstanceAction, InstanceLife, PowerAction, PowerRequest, RemoveRequest
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.node.node import NodeView
from gamekeeper.temporal import queues
from tests.fakes.instance_keeper import as_ordered
from tests.workflows.instance.conftest import Kept

STATUS = {
    "instance": "arena",
    "serial": 1,
    "revision": 1,
    "desired": "running",
    "state": "ready",
    "since": "2026-01-01T00:00:00Z",
}


def plain(value: Any, encoding: bytes = b"json/plain") -> Payload:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Payload(metadata={"encoding": encoding}, data=data)


async def answering(kept: Kept, payload: Payload) -> None:
    """A node that gives every order this end."""

    @activity.defn(name="instance.carry_out")
    async def carry_out(order: dict[str, Any]) -> RawValue:
        return RawValue(payload)

    worker = Worker(kept.client, task_queue=queues.node_control_queue(kept.node), activities=[carry_out])
    await kept.stack.enter_async_context(worker)


@pytest.mark.parametrize(
    "payload",
    [
        plain({"status": STATUS | {"state": "paused"}}),
        plain({"status": STATUS | {"since": "never"}}),
        plain(["nonsense"]),
        plain(None),
        plain(b"{"),
        plain(b'{"status": {"message": "\\ud800"}}'),
        plain(b"\xff", b"binary/plain"),
        plain(b"x", b"nobody/knows"),
        Payload(),
    ],
    ids=["state", "time", "list", "null", "torn", "surrogate", "bytes", "encoding", "empty"],
)
async def test_an_end_that_can_not_be_read_is_a_failure_of_the_action(kept: Kept, payload: Payload) -> None:
    await answering(kept, payload)
    kept.store.agent = "9.1.0"
    await kept.start()
    ended = await kept.store.until_ended(1)
    assert ended.outcome is None
    assert ended.failure.startswith(
        f"the agent of node {kept.node}, version 9.1.0, tells an end that this server can't"
    )
    await kept.calls.power(kept.id, PowerRequest(action=PowerAction.KILL))
    await kept.store.until_ended(2)
    assert not [event for event in await kept.events() if "TASK_FAILED" in event]
    kept.store.node_is_there = False
    await kept.calls.remove(kept.id, RemoveRequest())
    await kept.handle.result()


async def test_numbers_and_texts_of_an_end_are_bounded(kept: Kept) -> None:
    large = dict.fromkeys(("serial", "seq", "revision", "crash_count", "exit_code"), 2**70)
    texts = {"message": "a\0" + "x" * 5000, "digest": "x" * 5000, "container_id": "\0", "reason": "internal"}
    await answering(kept, plain({"status": STATUS | large | texts | {"ports": ["p" * 999] * 999}}))
    await kept.start()
    ended = (await kept.store.until_ended(1)).outcome
    assert ended is not None
    status = ended.status
    assert (status.serial, status.revision, status.exit_code) == (2**53 - 1, 2**31 - 1, 2**31 - 1)
    assert (len(status.message), len(status.digest), status.container_id) == (2000, 300, "\ufffd")
    assert (len(status.ports), len(status.ports[0]), status.reason) == (100, 100, InstanceReason.INTERNAL)


async def test_an_end_that_no_row_takes_is_a_failure_of_the_action(kept: Kept) -> None:
    kept.store.unkeepable = True
    await kept.start_node()
    await kept.start()
    ended = await kept.store.until_ended(1)
    assert (ended.outcome, ended.failure) == (None, "its end can't be kept: no row takes it")


async def test_an_agent_without_a_keeper_is_to_be_upgraded(kept: Kept) -> None:
    @activity.defn(name="something.else")
    async def other() -> None:
        return None

    queue = queues.node_control_queue(kept.node)
    await kept.stack.enter_async_context(Worker(kept.client, task_queue=queue, activities=[other]))
    await kept.start()
    ended = await kept.store.until_ended(1)
    wanted = f"the agent of node {kept.node} keeps no instances; upgrade it (it has 0.1.0)"
    assert (ended.failure, ended.keeps_none) == (wanted, True)


async def test_a_removal_that_the_node_refuses_can_be_tried_again(kept: Kept) -> None:
    await kept.ready()

    def refuse(order: object) -> tuple[InstanceState, InstanceReason | None]:
        raise ApplicationError("a hook says no", non_retryable=True)

    kept.keeper.settles = refuse
    await kept.calls.remove(kept.id, RemoveRequest(volumes=True))
    await kept.store.until_ended(2)
    kept.keeper.settles = as_ordered
    kept.keeper.may_end.clear()
    await kept.calls.remove(kept.id, RemoveRequest())
    await kept.keeper.until_ordered(3)
    await kept.calls.power(kept.id, PowerRequest(action=PowerAction.KILL))
    order = await kept.keeper.until_ordered(4)
    assert (order.desired, order.kill, order.volumes) == (Desired.REMOVED, True, True)
    await kept.handle.result()


async def test_an_order_to_a_node_that_is_removed_meanwhile_ends(kept: Kept) -> None:
    await kept.start()
    await kept.store.until_begun(1)
    kept.store.node_is_there = False
    await kept.calls.tell_node(kept.id, NodeView.removed(kept.node))
    assert (await kept.store.until_ended(1)).failure == f"node {kept.node} was removed"


@pytest.mark.parametrize(
    ("theirs", "ours", "makes_room"),
    [
        (None, timedelta(0), False),  # it does not say when its instance was made, and began about then
        (None, timedelta(hours=1), True),
        (timedelta(0), timedelta(0), False),
        (timedelta(0), timedelta(microseconds=1), True),  # it has not ended yet
        (timedelta(0), timedelta(microseconds=-1), False),  # somebody read the row of the earlier one
    ],
)
async def test_the_workflow_of_an_earlier_instance_of_the_id_makes_room(
    kept: Kept, theirs: timedelta | None, ours: timedelta, makes_room: bool
) -> None:
    now = datetime.now(UTC)
    await kept.ready(made=None if theirs is None else now + theirs)
    before = (await kept.handle.describe()).run_id
    life = InstanceLife(instance=kept.id, node=kept.node, first=InstanceAction.CREATE, made=now + ours)
    await asyncio.gather(*(kept.calls.start(life) for _ in range(3)))
    after = (await kept.handle.describe()).run_id
    assert (after != before) is makes_room
    await kept.calls.start(life)
    assert (await kept.handle.describe()).run_id == after


async def test_an_end_that_is_far_away_is_a_timer_that_temporal_takes(kept: Kept) -> None:
    await kept.ready(expires_at=datetime(9000, 1, 1, tzinfo=UTC))
    assert "EVENT_TYPE_TIMER_STARTED" in await kept.idle_events()
    await kept.calls.power(kept.id, PowerRequest(action=PowerAction.STOP))
    await kept.store.until_ended(2)
