"""Failures of a node: their words pass, and nothing at which a workflow's task would fail."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType, TaskQueueKind
from temporalio.api.failure.v1 import Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as pb
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gateway.failures import MAX_CAUSES, MAX_TEXT, plain_failure
from gateway.rules import SERVICE
from tests.fixtures.gateway import Gated
from tests.gateway.steps import WORKFLOWS, OneStep
from tests.hang import HANG_SECONDS

GARBAGE = Payloads(payloads=[Payload(metadata={"encoding": b"nobody/knows"}, data=b"\xff"), Payload()])
told: Any = Failure  # its fields are given as mappings
FAR = Duration(seconds=315_576_000_000)


def application(**fields: Any) -> Failure:
    found: Failure = told(message="broken", application_failure_info={"type": "odd", "non_retryable": True} | fields)
    return found


def nested(depth: int) -> Failure:
    found = application(details=GARBAGE)
    for _ in range(depth):
        found = told(message="outer", application_failure_info={"non_retryable": True}, cause=found)
    return found


HOSTILE = {
    "details": application(details=GARBAGE),
    "category": application(category=77),
    "delay": application(next_retry_delay=FAR),
    "encoded": told(
        message="broken", encoded_attributes=GARBAGE.payloads[0], application_failure_info={"non_retryable": True}
    ),
    "long": told(message="broken" + "x" * 10**6, application_failure_info={"type": "y" * 10**5, "non_retryable": True}),
    "causes": nested(40),
    "kinds": told(
        message="broken",
        application_failure_info={"non_retryable": True},
        cause=told(
            activity_failure_info={"retry_state": 99},
            cause=told(
                timeout_failure_info={"timeout_type": 99, "last_heartbeat_details": GARBAGE},
                cause=told(
                    canceled_failure_info={"details": GARBAGE},
                    cause=told(child_workflow_execution_failure_info={"retry_state": 99}),
                ),
            ),
        ),
    ),
}


def passed(failure: Failure) -> Failure:
    request: Any = pb.RespondActivityTaskFailedRequest(failure=failure)
    plain_failure(None, request)  # type: ignore[arg-type]
    found: Failure = request.failure
    return found


def test_an_agents_own_failure_passes_as_it_is() -> None:
    own = told(
        message="the node refuses the step",
        source="PythonSDK",
        stack_trace="in step",
        application_failure_info={"type": "step_refused", "non_retryable": True, "category": 1},
        cause=told(message="why", application_failure_info={"next_retry_delay": Duration(seconds=1)}),
    )
    assert passed(own) == own


def test_causes_and_words_are_bounded() -> None:
    found, depth = passed(nested(60)), 0
    while found.HasField("cause"):
        found, depth = found.cause, depth + 1
    assert depth == MAX_CAUSES
    assert len(passed(HOSTILE["long"]).message) == MAX_TEXT


class RawNode:
    """A node that speaks Temporal's protocol by itself, through the gateway."""

    def __init__(self, channel: grpc.aio.Channel, node_id: str) -> None:
        self._channel = channel
        self._node_id = node_id

    async def call(self, request: Any, answer: Any) -> Any:
        name = request.DESCRIPTOR.name.removesuffix("Request")
        method: Any = self._channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=lambda item: item.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return await method(request, timeout=HANG_SECONDS)

    async def task(self) -> bytes:
        queue = TaskQueue(name=f"node:{self._node_id}", kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
        request = pb.PollActivityTaskQueueRequest(namespace="default", task_queue=queue)
        while not (found := await self.call(request, pb.PollActivityTaskQueueResponse)).task_token:
            pass
        return bytes(found.task_token)


async def begun(gateway: Gated, workflows: Client) -> tuple[RawNode, WorkflowHandle[Any, Any]]:
    node_id = f"w-{uuid.uuid4().hex[:8]}"
    node = RawNode(gateway.channel(gateway.admit(node_id)), node_id)
    run = await workflows.start_workflow(OneStep.run, args=[node_id, 2.0], id=node_id, task_queue=WORKFLOWS)
    return node, run


async def failed_tasks(run: WorkflowHandle[Any, Any]) -> list[str]:
    names = [EventType.Name(event.event_type) async for event in run.fetch_history_events()]
    return [name for name in names if name == "EVENT_TYPE_WORKFLOW_TASK_FAILED"]


async def end_of(run: WorkflowHandle[Any, Any]) -> ActivityError:
    async with asyncio.timeout(HANG_SECONDS):
        with pytest.raises(WorkflowFailureError) as caught:
            await run.result()
    assert isinstance(caught.value.cause, ActivityError)
    assert await failed_tasks(run) == []
    return caught.value.cause


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_failure_of_a_node_fails_a_task_of_the_workflow(
    gateway: Gated, temporal_client: Client, name: str
) -> None:
    async with Worker(
        temporal_client, task_queue=WORKFLOWS, workflows=[OneStep], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        node, run = await begun(gateway, temporal_client)
        request = pb.RespondActivityTaskFailedRequest(
            namespace="default", task_token=await node.task(), failure=HOSTILE[name], last_heartbeat_details=GARBAGE
        )
        await node.call(request, pb.RespondActivityTaskFailedResponse)
        error = await end_of(run)
        assert isinstance(error.cause, ApplicationError)
        assert error.cause.message.startswith(("broken", "outer"))


async def test_no_beat_of_a_node_fails_a_task_of_the_workflow(gateway: Gated, temporal_client: Client) -> None:
    """Its last words come back with the time-out."""
    async with Worker(
        temporal_client, task_queue=WORKFLOWS, workflows=[OneStep], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        node, run = await begun(gateway, temporal_client)
        request = pb.RecordActivityTaskHeartbeatRequest(
            namespace="default", task_token=await node.task(), details=GARBAGE
        )
        await node.call(request, pb.RecordActivityTaskHeartbeatResponse)
        assert isinstance((await end_of(run)).cause, TimeoutError)
