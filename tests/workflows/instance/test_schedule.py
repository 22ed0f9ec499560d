"""The workflow of one time of a schedule on the real Temporal server, with a keeper and a read model in memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.control_plane.instance_schedules import InstanceScheduleActivities
from control_worker.bootstrap import patient
from gamekeeper.domain.instance.schedule import FiringOutcome, InstanceScheduleTerms, spec_of
from gamekeeper.errors import ConflictError
from gamekeeper.temporal import policies, queues
from gamekeeper.temporal.instance_schedules import InstanceScheduleCalls
from tests.fakes.instance_keeper import FakeKeeper
from tests.fakes.instance_schedules import FakeInstanceSchedules
from tests.hang import HANG_SECONDS
from workflows import ALL_WORKFLOWS


class Timed:
    """One schedule of an instance, with a control worker."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.keeper = FakeKeeper()
        self.schedules = FakeInstanceSchedules(f"node-{uuid.uuid4().hex[:8]}")
        self.calls = InstanceScheduleCalls(client)
        self.stack = AsyncExitStack()
        self.terms = InstanceScheduleTerms(
            instance=f"arena-{uuid.uuid4().hex[:8]}", name="warn", spec=spec_of("0 5 * * *", "UTC", "10m"), by_hand=True
        )

    async def start(self) -> None:
        made = InstanceScheduleActivities(self.schedules)
        worker = Worker(
            self.client,
            task_queue=queues.CONTROL_PLANE,
            workflows=ALL_WORKFLOWS,
            activities=[made.begin, made.end],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        await self.stack.enter_async_context(patient(worker))

    async def add_node(self, *activities: Callable[..., Any]) -> None:
        queue = queues.node_control_queue(self.schedules.node)
        await self.stack.enter_async_context(Worker(self.client, task_queue=queue, activities=list(activities)))

    async def fire(self) -> str:
        """The outcome that the workflow knows."""
        key = uuid.uuid4().hex
        await self.calls.run_now(self.terms, key)
        return str(await self.handle(key).result())

    def handle(self, key: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(f"schedule/instance/{self.terms.instance}/warn-by-{key}")


@pytest.fixture
async def timed(temporal_client: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Timed]:
    monkeypatch.setattr(queues, "CONTROL_PLANE", f"control-plane-{uuid.uuid4().hex}")
    made = Timed(temporal_client)
    async with asyncio.timeout(HANG_SECONDS), made.stack:
        yield made


async def test_a_power_action_is_over_when_it_is_begun(timed: Timed) -> None:
    await timed.start()
    assert await timed.fire() == "begun"
    (firing,) = timed.schedules.begun
    assert (firing.instance, firing.name, firing.by_hand) == (timed.terms.instance, "warn", True)
    assert firing.number == int(firing.at.timestamp() * 1000)
    assert timed.schedules.ended == []


async def test_a_line_is_typed_and_its_end_is_noted(timed: Timed) -> None:
    timed.schedules.text = "say soon"
    await timed.add_node(timed.keeper.carry_out, timed.keeper.type_in)
    await timed.start()
    assert await timed.fire() == "done"
    assert [line.text for line in timed.keeper.lines] == ["say soon"]
    (ended,) = timed.schedules.ended
    assert (ended.token, ended.outcome, ended.message) == (timed.schedules.begun[0].token, FiringOutcome.DONE, "")


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"state": 7}'])
async def test_whatever_a_node_answers_is_not_read(timed: Timed, data: bytes) -> None:
    @activity.defn(name="instance.type_in")
    async def type_in(line: dict[str, Any]) -> RawValue:
        return RawValue(Payload(metadata={"encoding": b"nobody/knows"}, data=data))

    timed.schedules.text = "say soon"
    await timed.add_node(type_in)
    await timed.start()
    assert await timed.fire() == "done"


async def test_a_line_is_given_to_a_node_twice_at_most(timed: Timed) -> None:
    calls: list[int] = []

    @activity.defn(name="instance.type_in")
    async def type_in(line: dict[str, Any]) -> None:
        calls.append(line["number"])
        raise ApplicationError("the engine does not answer", type="unavailable")

    timed.schedules.text = "say soon"
    await timed.add_node(type_in)
    await timed.start()
    assert await timed.fire() == "failed"
    assert len(calls) == 2
    assert len(set(calls)) == 1
    assert timed.schedules.ended[0].message == "the engine does not answer"


async def test_a_node_that_does_not_come_is_not_waited_for(timed: Timed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "LINE_LIMIT", timedelta(seconds=1))
    timed.schedules.text = "say soon"
    await timed.start()
    assert await timed.fire() == "failed"
    (ended,) = timed.schedules.ended
    assert ended.outcome is FiringOutcome.FAILED
    assert ended.message == f"node {timed.schedules.node} did not take the line in time"


async def test_an_agent_without_it_is_told_as_such(timed: Timed) -> None:
    timed.schedules.text = "say soon"
    await timed.add_node(timed.keeper.carry_out)
    await timed.start()
    assert await timed.fire() == "failed"
    message = timed.schedules.ended[0].message
    assert message == f"the agent of node {timed.schedules.node} types no commands; upgrade it (it has 0.4.0)"


async def test_rows_that_can_not_be_read_end_the_firing(timed: Timed) -> None:
    timed.schedules.refusal = "instance arena can't be read by this version"
    await timed.start()
    with pytest.raises(ConflictError, match=r"schedule warn could not be looked at: .*can't be read"):
        await timed.fire()
