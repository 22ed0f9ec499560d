"""A control plane and a node in this process, on the real Temporal server, with a dummy engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.worker import Worker

from activities.control_plane.instance_ensure import InstanceEnsureActivities
from activities.control_plane.intake import IntakeActivities
from activities.control_plane.rooms import RoomActivities
from activities.control_plane.runs import RunActivities
from activities.node.context import NodeContext
from activities.node.step.steps import StepActivities
from agent_worker.dummy_engine import DummyEngine
from control_worker.bootstrap import patient
from gamekeeper.domain.node.node import NodeStatus, NodeView
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.run import BEHAVIOUR, RunInput, RunResult
from gamekeeper.domain.run.step import StepState
from gamekeeper.temporal import queues
from tests.factories import make_pipeline
from tests.fakes.instance_ensurer import FakeInstances
from tests.fakes.node_agent import FakeContainers, FakeInputs, FakeJournal, FakePhases, FakeStepLogs
from tests.fakes.room_store import FakeRooms
from tests.fakes.run_intake import FakeRunIntake
from tests.fakes.run_store import FakeRunStore
from tests.hang import HANG_SECONDS
from workflows import ALL_WORKFLOWS, PipelineWorkflow


class ControlPlane:
    """Runs pipelines on nodes that it can start and stop."""

    def __init__(self, client: Client, queue: str) -> None:
        self.client = client
        self.store = FakeRunStore()
        self.intake = FakeRunIntake()
        self.instances = FakeInstances()
        self.rooms = FakeRooms()
        self.node = f"node-{uuid.uuid4().hex[:8]}"
        self.engine = DummyEngine(self.node)
        self.worker_options: dict[str, Any] = {}
        self.queue = queue
        self.stack = AsyncExitStack()
        self.has_node = False
        self.indexed = True

    async def start_node(self, at_once: int = 200, kind: type[StepActivities] = StepActivities) -> None:
        """``at_once``: how many steps it takes at a time."""
        self.has_node = True
        context = NodeContext(
            self.engine, FakeJournal(), FakeStepLogs(), FakePhases(), FakeContainers(), NodePolicy(), FakeInputs(), 0.2
        )
        steps = kind(context)
        for queue, activities in (
            (queues.node_queue(self.node), [steps.run_job, steps.start_service]),
            (queues.node_control_queue(self.node), [steps.stop_service]),
        ):
            worker = Worker(self.client, task_queue=queue, activities=activities, max_concurrent_activities=at_once)
            await self.stack.enter_async_context(worker)

    async def is_indexed(self) -> bool:
        return self.indexed

    async def start(self) -> None:
        """The control worker."""
        runs, intake = RunActivities(self.store, self.rooms), IntakeActivities(self.intake, self.is_indexed)
        worker = Worker(
            self.client,
            task_queue=self.queue,
            workflows=ALL_WORKFLOWS,
            activities=[
                *(runs.write_snapshot, runs.find_node),
                *(intake.accept_call, intake.load, intake.enter_group, intake.next_in_line),
                InstanceEnsureActivities(self.instances, 0.2).ensure,
                RoomActivities(self.rooms).take,
            ],
            **self.worker_options,
        )
        await self.stack.enter_async_context(patient(worker))

    async def submit(
        self,
        *steps: dict[str, Any],
        view: NodeView | None = None,
        node_wait: float = 30.0,
        behaviour: int = BEHAVIOUR,
        caller: str = "",
        **fields: Any,
    ) -> WorkflowHandle[PipelineWorkflow, RunResult]:
        pipeline = make_pipeline(*steps, node=self.node, **fields)
        pipeline.node_wait = node_wait
        run_id = uuid.uuid4().hex[:12]
        seen = view or NodeView(id=self.node, status=NodeStatus.ONLINE)
        return await self.client.start_workflow(
            PipelineWorkflow.run,
            RunInput(
                run_id=run_id,
                pipeline=pipeline,
                nodes={self.node: seen},
                behaviour=behaviour,
                is_indexed=self.indexed,
                caller=caller,
            ),
            id=f"run/{run_id}",
            task_queue=self.queue,
        )

    async def run(self, *steps: dict[str, Any], **fields: Any) -> dict[str, StepState]:
        """Runs to the end; the steps' last states."""
        handle = await self.submit(*steps, **fields)
        await ended(handle)
        return self.states()

    def states(self) -> dict[str, StepState]:
        names = {status.name: None for snapshot in self.store.snapshots for status in snapshot.steps}
        return {name: self.store.last(name).state for name in names}

    async def until(self, step: str, state: StepState) -> None:
        async with asyncio.timeout(HANG_SECONDS):
            while not any(status.state is state for status in self.store.history(step)):
                await asyncio.sleep(0.02)

    async def until_try(self, step: str, number: int) -> None:
        """Waits until the container of that try was started."""
        async with asyncio.timeout(HANG_SECONDS):
            while not any(
                (status.try_, status.started_at is None) == (number, False) for status in self.store.history(step)
            ):
                await asyncio.sleep(0.02)

    async def until_started(self, step: str) -> None:
        """Waits until the step's container runs."""
        async with asyncio.timeout(HANG_SECONDS):
            while not any(info.started_at for info in await self.engine.list_owned(step=step)):
                await asyncio.sleep(0.02)


async def ended(handle: WorkflowHandle[Any, Any]) -> str:
    """The end of the workflow, in Temporal's words."""
    try:
        await asyncio.wait_for(handle.result(), HANG_SECONDS)
    except WorkflowFailureError as error:
        return type(error.cause).__name__
    return "completed"


@pytest.fixture
async def control_plane(temporal_client: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ControlPlane]:
    queue = f"control-plane-{uuid.uuid4().hex}"
    monkeypatch.setattr(queues, "CONTROL_PLANE", queue)  # a task queue of its own for each test
    plane = ControlPlane(temporal_client, queue)
    async with plane.stack:
        await plane.start()
        yield plane
