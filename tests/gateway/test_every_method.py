"""Two nodes against each other, over every method that Temporal's services have, on a real server.

A method that the next version of the API brings is in the walk by itself, and is refused until somebody lets it in.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from temporalio import workflow
from temporalio.api.cloud.cloudservice.v1 import service_pb2 as cloud
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.operatorservice.v1 import service_pb2 as operator
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.testservice.v1 import service_pb2 as testing
from temporalio.api.workflowservice.v1 import request_response_pb2, service_pb2
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gateway.rules import RULES, SERVICE
from gateway.tokens import MAC_BYTES
from tests.fixtures.gateway import Gated, NodeFiles
from tests.hang import HANG_SECONDS

pb: Any = request_response_pb2
NORMAL = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
COMMANDS = TaskQueueKind.TASK_QUEUE_KIND_WORKER_COMMANDS
WORKFLOWS = "workflows-of-the-gateway-tests"
DENIED = grpc.StatusCode.PERMISSION_DENIED
NOT_FOUND = grpc.StatusCode.NOT_FOUND


def methods() -> Iterator[MethodDescriptor]:
    for module in (service_pb2, operator, testing, cloud):
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def filled(kind: Descriptor, victim: str, depth: int = 3) -> Any:
    """A message with all its fields set, to the victim's names where a name is asked for."""
    message: Any = GetMessageClass(kind)()
    for field in kind.fields:
        if field.containing_oneof is not None and field.containing_oneof.fields[0] is not field:
            continue
        if field.message_type is None:
            value: Any = _scalar(field, victim)
        elif depth and not field.message_type.GetOptions().map_entry:
            value = filled(field.message_type, victim, depth - 1)
        else:
            continue
        if field.is_repeated:
            getattr(message, field.name).append(value)
        elif field.message_type is None:
            setattr(message, field.name, value)
        else:
            getattr(message, field.name).CopyFrom(value)
    return message


def _scalar(field: FieldDescriptor, victim: str) -> Any:
    if field.type == field.TYPE_STRING:
        known = {"namespace": "default", "workflow_id": victim, "name": f"node:{victim}"}
        return known.get(field.name, victim)
    return b"token" if field.type == field.TYPE_BYTES else 1


@workflow.defn(name="gateway-test-one-step")
class OneStep:
    @workflow.run
    async def run(self, node_id: str) -> str:
        return await workflow.execute_activity(  # type: ignore[no-any-return]
            "step",
            task_queue=f"node:{node_id}",
            result_type=str,
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(minutes=5),
        )


@dataclass(frozen=True)
class Node:
    gate: Gated
    node_id: str
    channel: grpc.aio.Channel

    async def call(self, path: str, request: Any, **options: Any) -> bytes:
        raw = request if isinstance(request, bytes) else request.SerializeToString()
        method: Any = self.channel.unary_unary(path)
        return bytes(await method(raw, timeout=HANG_SECONDS, **options))

    async def status(self, path: str, request: Any) -> grpc.StatusCode:
        try:
            await self.call(path, request)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    async def poll(self, queue: str) -> Any:
        request = pb.PollActivityTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=queue, kind=NORMAL))
        raw = await self.call(f"/{SERVICE}/PollActivityTaskQueue", request)
        return pb.PollActivityTaskQueueResponse.FromString(raw)


@dataclass(frozen=True)
class Pair:
    """A node that has a task, and one that wants it."""

    own: Node
    other: Node
    token: bytes
    run: WorkflowHandle[Any, str]


def _node(gate: Gated) -> Node:
    node_id = f"n-{uuid.uuid4().hex[:8]}"
    files: NodeFiles = gate.admit(node_id)
    return Node(gate, node_id, gate.channel(files))


@pytest.fixture
async def pair(gateway: Gated, temporal_client: Client) -> AsyncIterator[Pair]:
    own, other = _node(gateway), _node(gateway)
    async with Worker(
        temporal_client, task_queue=WORKFLOWS, workflows=[OneStep], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        run = await temporal_client.start_workflow(OneStep.run, own.node_id, id=own.node_id, task_queue=WORKFLOWS)
        task = await own.poll(f"node:{own.node_id}")
        yield Pair(own, other, task.task_token, run)
        with suppress(RPCError):  # it may have ended
            await run.terminate()


async def test_no_method_besides_the_table_reaches_temporal(pair: Pair) -> None:
    found: dict[str, set[grpc.StatusCode]] = {}
    for method in methods():
        path = path_of(method)
        if path in RULES:
            continue
        requests = [b"", filled(method.input_type, pair.own.node_id)]
        found[path] = {await node.status(path, request) for node in (pair.own, pair.other) for request in requests}
    assert len(found) > 120, "the walk is over all services"
    assert {path: statuses for path, statuses in found.items() if statuses != {DENIED}} == {}
    assert (await pair.run.describe()).status is not None


async def test_names_that_are_nearly_on_the_table(pair: Pair) -> None:
    paths = [
        f"/{SERVICE}/pollactivitytaskqueue",
        f"/{SERVICE}/PollActivityTaskQueue/",
        f"//{SERVICE}/PollActivityTaskQueue",
        "/temporal.server.api.adminservice.v1.AdminService/DescribeCluster",
        "/temporal.server.api.historyservice.v1.HistoryService/RecordActivityTaskHeartbeat",
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ]
    assert {await pair.own.status(path, b"") for path in paths} == {DENIED}


async def test_filled_requests_of_the_table_are_refused_to_both(pair: Pair) -> None:
    """All fields at once hold another namespace's, queue's or nobody's token: none of it passes."""
    statuses = {}
    for method in methods():
        if (path := path_of(method)) in RULES and method.input_type.fields:
            request = filled(method.input_type, pair.own.node_id)
            statuses[method.name] = await pair.other.status(path, request)
    assert len(statuses) == len(RULES) - 1
    assert grpc.StatusCode.OK not in statuses.values(), statuses


def _tokens(token: bytes) -> list[bytes]:
    return [token, token[MAC_BYTES:], b"\0" * MAC_BYTES + token[MAC_BYTES:], token + b"\0", b"", b"x"]


PASSED = {
    "RecordActivityTaskHeartbeat": grpc.StatusCode.OK,
    "RespondActivityTaskCompleted": grpc.StatusCode.OK,
    "RespondActivityTaskFailed": grpc.StatusCode.OK,
    "RespondActivityTaskCanceled": grpc.StatusCode.INVALID_ARGUMENT,  # Temporal's word: nobody asked for a cancel
    "RespondNexusTaskCompleted": NOT_FOUND,
    "RespondNexusTaskFailed": NOT_FOUND,
}


@pytest.mark.parametrize("method", PASSED)
async def test_nobody_answers_for_another(pair: Pair, method: str) -> None:
    request = getattr(pb, f"{method}Request")
    path = f"/{SERVICE}/{method}"
    for token in _tokens(pair.token):
        assert await pair.other.status(path, request(namespace="default", task_token=token)) is NOT_FOUND
    for token in _tokens(pair.token)[1:]:
        assert await pair.own.status(path, request(namespace="default", task_token=token)) is NOT_FOUND
    status = await pair.own.status(path, request(namespace="default", task_token=pair.token))
    assert status is PASSED[method]


async def test_a_node_that_joined_again_has_no_use_for_its_old_tasks(pair: Pair, gateway: Gated) -> None:
    files = gateway.admit(pair.own.node_id, 2)
    again = Node(gateway, pair.own.node_id, gateway.channel(files))
    request = pb.RespondActivityTaskCompletedRequest(namespace="default", task_token=pair.token)
    assert await again.status(f"/{SERVICE}/RespondActivityTaskCompleted", request) is NOT_FOUND


async def test_queues_of_others(pair: Pair) -> None:
    own, ours = pair.own.node_id, pair.other.node_id
    names = [f"node:{own}", f"node:{own}:ctl", "control-plane", WORKFLOWS, f"/_sys/node:{own}/1", f"node:{ours}:x", ""]
    for name in names:
        for kind in (NORMAL, COMMANDS, TaskQueueKind.TASK_QUEUE_KIND_UNSPECIFIED):
            queue = TaskQueue(name=name, kind=kind)
            for request in (
                pb.PollActivityTaskQueueRequest,
                pb.PollNexusTaskQueueRequest,
                pb.DescribeTaskQueueRequest,
            ):
                path = f"/{SERVICE}/{request.DESCRIPTOR.name.removesuffix('Request')}"
                status = await pair.other.status(path, request(namespace="default", task_queue=queue))
                assert status is DENIED, (path, name, kind)


async def test_the_answer_of_the_owner_ends_the_step_in_its_name(pair: Pair) -> None:
    request = pb.RespondActivityTaskCompletedRequest(
        namespace="default",
        task_token=pair.token,
        identity="somebody else",
        result={"payloads": [{"metadata": {"encoding": b"json/plain"}, "data": b'"done"'}]},
    )
    await pair.own.call(f"/{SERVICE}/RespondActivityTaskCompleted", request)
    assert await pair.run.result() == "done"
    history = await pair.run.fetch_history()
    started = {event.activity_task_started_event_attributes.identity for event in history.events}
    completed = {event.activity_task_completed_event_attributes.identity for event in history.events}
    assert started | completed == {"", pair.own.node_id}
