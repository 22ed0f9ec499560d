"""Somebody has Temporal's address, and all that it holds. No container starts for him, anywhere."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue, RetryPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ActivityError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gamekeeper.domain.run.control import ApprovalAnswer
from gamekeeper.payload_keys.live import PayloadKeys
from gamekeeper.payload_keys.ring_file import RingFile
from gamekeeper.stack.layout import StateDir
from gamekeeper.temporal import queues
from gamekeeper.temporal.sealed_payloads import PayloadSeals, SealingCodec
from tests.fixtures.stack import Stack
from tests.fixtures.temporal import PlainCodec, with_codec
from tests.hang import HANG_SECONDS

pytestmark = pytest.mark.xdist_group("stack gateway")
OWN_QUEUE = f"stranger-{uuid.uuid4().hex[:8]}"


def approved(image: str) -> str:
    job = f"container: {{image: '{image}', commands: ['echo ran']}}"
    return (
        "name: approved\nsteps:\n"
        f"  - {{name: a, {job}}}\n"
        "  - {name: yes, type: approval, approval: {message: 'Go on?'}}\n"
        f"  - {{name: b, {job}}}\n"
    ).replace("name: yes", "name: agreed")


@workflow.defn(name="stranger")
class Stranger:
    """Gives a node's queue what he likes."""

    @workflow.run
    async def run(self, kind: str, queue: str, activity_id: str, given: str) -> str:
        payload = Payload.FromString(bytes.fromhex(given))
        try:
            await workflow.execute_activity(
                kind,
                RawValue(payload),
                activity_id=activity_id,
                task_queue=queue,
                start_to_close_timeout=timedelta(seconds=60),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError as error:
            return str(error.cause)
        return "done"


@dataclass
class Thief:
    """His client, and a run of the operator's that waits for an approval."""

    client: Client
    stack: Stack
    run_id: str
    history: list[HistoryEvent]

    @property
    def seals(self) -> PayloadSeals:
        """The payload keys of the stack, where a test lets him have those as well."""
        return PayloadSeals(PayloadKeys(RingFile(StateDir(self.stack.state_dir).payload_keys)))

    @property
    def run(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(f"run/{self.run_id}")

    def scheduled(self) -> Any:
        """The activity by which the node was told to run step a."""
        return next(
            event.activity_task_scheduled_event_attributes
            for event in self.history
            if event.activity_task_scheduled_event_attributes.activity_type.name == "step.run_job"
        )

    def containers(self) -> set[str]:
        found = self.stack.docker.containers.list(
            all=True, ignore_removed=True, filters={"label": f"gamekeeper.node={self.stack.node}"}
        )
        return {str(item.name) for item in found}

    async def until_refused(self, handle: WorkflowHandle[Any, Any]) -> None:
        """The control worker has failed at this workflow's task."""
        async with asyncio.timeout(HANG_SECONDS):
            while (await handle.describe()).raw_description.pending_workflow_task.attempt < 2:
                await asyncio.sleep(0.1)


@pytest.fixture
async def thief(stack: Stack) -> AsyncIterator[Thief]:
    ports = StateDir(stack.state_dir).load().ports
    assert ports is not None
    client = await Client.connect(f"127.0.0.1:{ports.temporal}", data_converter=pydantic_data_converter)
    run_id = stack.submit(approved(stack.image))
    stack.until(lambda: stack.step(run_id, "agreed")["state"] == "running")
    stack.until(lambda: not stack.containers(run_id))
    found = Thief(client, stack, run_id, [])
    found.history = [event async for event in found.run.fetch_history_events()]
    before = found.containers()
    yield found
    assert found.containers() - before == set(), "a container was started"
    for handle in (found.run, client.get_workflow_handle(f"run/{run_id}-again")):
        with suppress(RPCError):
            await handle.terminate()


async def test_he_starts_a_run_by_the_bytes_of_another(thief: Thief) -> None:
    (kept,) = thief.history[0].workflow_execution_started_event_attributes.input.payloads
    again = await thief.client.start_workflow(
        "PipelineWorkflow", RawValue(kept), id=f"run/{thief.run_id}-again", task_queue=queues.CONTROL_PLANE
    )
    await thief.until_refused(again)


async def test_he_approves(thief: Thief) -> None:
    answer = ApprovalAnswer(step="agreed", approved=True, by="somebody")
    asking = asyncio.create_task(thief.run.execute_update("answer_approval", answer))
    await thief.until_refused(thief.run)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert thief.stack.step(thief.run_id, "agreed")["state"] == "running"


async def test_he_sends_a_node_what_it_was_sent_before(thief: Thief) -> None:
    """As another workflow's activity, to the same node: as it was, as another try, and that without its signature.

    Without the payload keys he could not read it, nor change it: here he has those, too."""
    told = thief.scheduled()
    (kept,) = told.input.payloads
    assert b'"try":1' not in kept.data
    signed = thief.seals.opened(kept, "")
    client = with_codec(thief.client, SealingCodec(PlainCodec(), thief.seals))
    assert b'"try":1' in signed.data
    other = Payload(data=signed.data.replace(b'"try":1', b'"try":2'), metadata=dict(signed.metadata))
    bare = Payload(data=other.data, metadata={"encoding": signed.metadata["encoding"]})
    queue = queues.node_queue(thief.stack.node)
    async with Worker(client, task_queue=OWN_QUEUE, workflows=[Stranger], workflow_runner=UnsandboxedWorkflowRunner()):
        for payload, words in ((signed, "was over before"), (other, "signature"), (bare, "not signed")):
            answer = await client.execute_workflow(
                Stranger.run,
                args=["step.run_job", queue, told.activity_id, payload.SerializeToString().hex()],
                id=uuid.uuid4().hex,
                task_queue=OWN_QUEUE,
            )
            assert words in answer


async def test_he_has_a_run_begin_once_more(thief: Thief) -> None:
    """The control worker signs the same step again, for the same place: the node remembers that it was spent."""
    first_task = next(
        event.event_id for event in thief.history if event.HasField("workflow_task_completed_event_attributes")
    )
    await thief.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=f"run/{thief.run_id}"),
            workflow_task_finish_event_id=first_task,
            request_id=uuid.uuid4().hex,
            reason="theft",
        )
    )
    reading = with_codec(thief.client, SealingCodec(PlainCodec(), thief.seals))
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(reading.get_workflow_handle(f"run/{thief.run_id}").result(), HANG_SECONDS)
