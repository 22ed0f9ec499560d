"""A Temporal server that does not push cancels (an external cluster, say): a cancel comes by a frequent heartbeat.

The step would end by itself long before a heartbeat of the SDK's own period, so its outcome tells which one it was.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.control_plane.runs import RunActivities
from activities.node.context import NodeContext
from activities.node.step.steps import StepActivities
from agent_worker.workers import POLLED_HEARTBEAT_SECONDS
from control_worker.bootstrap import patient
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import StepState
from gamekeeper.temporal import queues
from gamekeeper.temporal.dev_server import find_binary
from gamekeeper.temporal.search_attributes import SearchAttributes
from tests.fakes.node_agent import FakeContainers, FakeInputs, FakeJournal, FakePhases, FakeStepLogs
from tests.hang import HANG_SECONDS
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import step
from workflows import ALL_WORKFLOWS


async def test_cancel_by_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = f"control-plane-{uuid.uuid4().hex}"
    monkeypatch.setattr(queues, "CONTROL_PLANE", queue)
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=find_binary(), data_converter=pydantic_data_converter
    )
    await SearchAttributes(environment.client).ensure()
    plane = ControlPlane(environment.client, queue)
    runs = RunActivities(plane.store, plane.rooms)
    beat = timedelta(seconds=POLLED_HEARTBEAT_SECONDS)
    context = NodeContext(
        plane.engine,
        FakeJournal(),
        FakeStepLogs(),
        FakePhases(),
        FakeContainers(),
        NodePolicy(),
        FakeInputs(),
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
    async with patient(control), node:
        handle = await plane.submit(step("a", dummy={"sleep": 30 * POLLED_HEARTBEAT_SECONDS}))
        await plane.until_started("a")
        await until_heartbeat(handle)  # the first one is sent at once, whatever the period
        await handle.cancel()
        await ended(handle)
    await environment.shutdown()
    assert plane.store.last("a").state is StepState.CANCELED


async def until_heartbeat(handle: WorkflowHandle[Any, Any]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            pending = (await handle.describe()).raw_description.pending_activities
            if any(activity.HasField("last_heartbeat_time") for activity in pending):
                return
            await asyncio.sleep(0.02)
