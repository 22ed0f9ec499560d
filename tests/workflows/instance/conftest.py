"""The workflow of an instance on the real Temporal server, with a keeper and a read model in memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.control_plane.instances import InstanceStoreActivities
from control_worker.bootstrap import patient
from gamekeeper.domain.instance.control import InstanceAction, InstanceLife
from gamekeeper.temporal import queues
from gamekeeper.temporal.ids import instance_workflow_id
from gamekeeper.temporal.instance_workflows import InstanceWorkflows
from tests.fakes.instance_keeper import FakeKeeper
from tests.fakes.instance_store import FakeInstanceStore
from tests.hang import HANG_SECONDS
from workflows import ALL_WORKFLOWS, InstanceWorkflow

IDLE = ("EVENT_TYPE_WORKFLOW_TASK_COMPLETED", "EVENT_TYPE_TIMER_STARTED")


class Kept:
    """One instance with its workflow, and the calls to it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.id = f"arena-{uuid.uuid4().hex[:8]}"
        self.node = f"node-{uuid.uuid4().hex[:8]}"
        self.keeper = FakeKeeper()
        self.store = FakeInstanceStore()
        self.calls = InstanceWorkflows(client)
        self.stack = AsyncExitStack()

    @property
    def handle(self) -> WorkflowHandle[InstanceWorkflow, None]:
        return self.client.get_workflow_handle_for(InstanceWorkflow.run, instance_workflow_id(self.id))

    async def start_node(self) -> None:
        queue = queues.node_control_queue(self.node)
        worker = Worker(self.client, task_queue=queue, activities=[self.keeper.carry_out])
        await self.stack.enter_async_context(worker)

    async def start(self, **fields: Any) -> None:
        """The control worker, and the workflow with its first action."""
        activities = InstanceStoreActivities(self.store)
        worker = Worker(
            self.client,
            task_queue=queues.CONTROL_PLANE,
            workflows=ALL_WORKFLOWS,
            activities=[activities.begin, activities.finish],
            workflow_runner=UnsandboxedWorkflowRunner(),  # as the control worker does
        )
        await self.stack.enter_async_context(patient(worker))
        fields = {"first": InstanceAction.CREATE, "by": "key:admin"} | fields
        await self.calls.start(InstanceLife(instance=self.id, node=self.node, **fields))

    async def ready(self, **fields: Any) -> None:
        """All of it, and the instance settled."""
        await self.start_node()
        await self.start(**fields)
        await self.store.until_ended(1)

    async def idle_events(self) -> list[str]:
        """The history once the workflow has taken the end of its last action."""
        while (found := await self.events())[-1] not in IDLE:
            await asyncio.sleep(0.02)
        return found

    async def events(self) -> list[str]:
        return [EventType.Name(event.event_type) async for event in self.handle.fetch_history_events()]


@pytest.fixture
async def kept(temporal_client: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    monkeypatch.setattr(queues, "CONTROL_PLANE", f"control-plane-{uuid.uuid4().hex}")
    made = Kept(temporal_client)
    async with asyncio.timeout(HANG_SECONDS), made.stack:
        yield made
