"""A Temporal server that does not push cancels (an external cluster, say): a cancel is still felt within a second."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import timedelta

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.control_plane.runs import RunActivities
from activities.node.context import NodeContext
from activities.node.step.steps import StepActivities
from agent_worker.workers import POLLED_HEARTBEAT_SECONDS
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import StepState
from gamekeeper.temporal import queues
from gamekeeper.temporal.dev_server import find_binary
from gamekeeper.temporal.search_attributes import ensure_search_attributes
from tests.fakes.node_agent import FakeContainers, FakeJournal, FakePhases, FakeStepLogs
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import step
from workflows import ALL_WORKFLOWS


async def test_cancel_by_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = f"control-plane-{uuid.uuid4().hex}"
    monkeypatch.setattr(queues, "CONTROL_PLANE", queue)
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=find_binary(), data_converter=pydantic_data_converter
    )
    await ensure_search_attributes(environment.client)
    plane = ControlPlane(environment.client, queue)
    runs = RunActivities(plane.store)
    beat = timedelta(seconds=POLLED_HEARTBEAT_SECONDS)
    context = NodeContext(
        plane.engine,
        FakeJournal(),
        FakeStepLogs(),
        FakePhases(),
        FakeContainers(),
        NodePolicy(),
        POLLED_HEARTBEAT_SECONDS,
    )
    control = Worker(
        environment.client,
        task_queue=queue,
        workflows=ALL_WORKFLOWS,
        activities=[runs.write_snapshot, runs.find_node],
    )
    node = Worker(
        environment.client,
        task_queue=queues.node_queue(plane.node),
        activities=[StepActivities(context).run_job],
        max_heartbeat_throttle_interval=beat,
        default_heartbeat_throttle_interval=beat,
    )
    async with control, node:
        handle = await plane.submit(step("a", dummy={"sleep": 60}))
        await plane.until_started("a")
        await asyncio.sleep(1)  # past the first beat, as a step in its middle is
        begin = time.time()
        await handle.cancel()
        await ended(handle)
        finished = plane.store.last("a").finished_at
    await environment.shutdown()
    assert plane.store.last("a").state is StepState.CANCELED
    assert finished is not None
    assert finished.timestamp() - begin < 1.0
