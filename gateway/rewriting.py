"""Checks and rewrites single parts of requests and answers. The table in ``rules.py`` says which go where.

Names that a worker makes up (its instance, its process, its control queue) are replaced by ones that only this node
leads to, the same way in every call, so that a node that knows another's names can't poll or shut down with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.namespace.v1 import NamespaceInfo
from temporalio.api.nexusservices.workerservice.v1 import ExecuteCommandsRequest
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.worker.v1 import WorkerHeartbeat
from temporalio.api.workflowservice.v1 import DescribeNamespaceResponse, DescribeTaskQueueResponse

from gamekeeper.temporal.queues import node_control_queue, node_queue
from gamekeeper.temporal.sealed_payloads import PayloadSeals
from gateway.refusal import Reason, Refusal, shown
from gateway.tokens import Caller, Kind, Seal

CONTROL_PREFIX = "temporal-sys/worker-commands/"
CONTROL_QUEUE = "control"  # one for all clients of a node, see Scope.control_queue
MAX_HEARTBEATS = 16  # workers of one agent process
MAX_NAME = 100


@dataclass(frozen=True)
class Scope:
    """All that a change may know of the call that it is part of."""

    seal: Seal
    namespace: str
    caller: Caller
    payloads: PayloadSeals

    def is_own(self, queue: str) -> bool:
        node = self.caller.node_id
        return queue in (node_queue(node), node_control_queue(node))

    def renamed(self, name: str) -> str:
        if len(name) > MAX_NAME:
            raise Refusal(Reason.FIELD, f"the name {shown(name)} is longer than {MAX_NAME} characters")
        return self.seal.renamed(self.caller, name) if name else ""

    def control_queue(self, name: str) -> str:
        """The node's control queue, which stands for all that its workers name. Raises Refusal for any other queue.

        A worker names another one with each client that it takes, as when a certificate was renewed. Temporal pushes a
        cancel to the queue of the client that polled the activity, where nobody listens then.
        """
        prefix = f"{CONTROL_PREFIX}{self.namespace}/"
        process = name.removeprefix(prefix)
        if not name.startswith(prefix) or not process or "/" in process:
            raise Refusal(Reason.QUEUE, f"task queue {shown(name)} is no control queue of a worker")
        return prefix + self.renamed(CONTROL_QUEUE)


# Messages are Any here: protobuf's classes share no type that has these fields.
Change = Callable[[Scope, Any], None]


def own_queue(scope: Scope, request: Any) -> None:
    queue = request.task_queue
    is_plain = queue.kind == TaskQueueKind.TASK_QUEUE_KIND_NORMAL and not queue.normal_name
    if not is_plain or not scope.is_own(queue.name):
        raise _foreign(scope, queue.name)


def own_control_queue(scope: Scope, request: Any) -> None:
    queue = request.task_queue
    if queue.kind != TaskQueueKind.TASK_QUEUE_KIND_WORKER_COMMANDS or queue.normal_name:
        raise _foreign(scope, queue.name)
    queue.name = scope.control_queue(queue.name)


def rename_control_queue(scope: Scope, request: Any) -> None:
    if request.worker_control_task_queue:
        request.worker_control_task_queue = scope.control_queue(request.worker_control_task_queue)


def rename_worker(scope: Scope, request: Any) -> None:
    request.worker_instance_key = scope.renamed(request.worker_instance_key)


def own_heartbeats(scope: Scope, request: Any) -> None:
    if len(request.worker_heartbeat) > MAX_HEARTBEATS:
        raise Refusal(Reason.SIZE, f"more than {MAX_HEARTBEATS} workers in one heartbeat")
    for heartbeat in request.worker_heartbeat:
        _own_heartbeat(scope, heartbeat)


def own_shutdown(scope: Scope, request: Any) -> None:
    """Some SDKs name no queue at the end of a worker; the worker is then found by its key alone."""
    if request.task_queue:
        request.task_queue = _own_or_control(scope, request.task_queue)
    if request.HasField("worker_heartbeat"):
        _own_heartbeat(scope, request.worker_heartbeat)


def unwrap_activity_token(scope: Scope, request: Any) -> None:
    request.task_token = scope.seal.unwrap(Kind.ACTIVITY, scope.caller, request.task_token)


def unwrap_nexus_token(scope: Scope, request: Any) -> None:
    request.task_token = scope.seal.unwrap(Kind.NEXUS, scope.caller, request.task_token)


def wrap_activity_token(scope: Scope, answer: Any) -> None:
    """A poll that ended without a task has no token."""
    if answer.task_token:
        answer.task_token = scope.seal.wrap(Kind.ACTIVITY, scope.caller, answer.task_token)


def wrap_commands(scope: Scope, answer: Any) -> None:
    """Commands to a worker are inside a Nexus task; a pushed cancel names its activity by the token."""
    if not answer.task_token:
        return
    answer.task_token = scope.seal.wrap(Kind.NEXUS, scope.caller, answer.task_token)
    payload = answer.request.start_operation.payload
    commands = ExecuteCommandsRequest.FromString(payload.data)
    for command in commands.commands:
        if command.HasField("cancel_activity"):
            token = command.cancel_activity.task_token
            command.cancel_activity.task_token = scope.seal.wrap(Kind.ACTIVITY, scope.caller, token)
    payload.data = commands.SerializeToString()


def trim_task_queue(_: Scope, answer: Any) -> None:
    """The times of the last polls, and nothing else of the queue."""
    seen = [poller.last_access_time for poller in answer.pollers]
    answer.CopyFrom(DescribeTaskQueueResponse(pollers=[PollerInfo(last_access_time=time) for time in seen]))


def trim_namespace(_: Scope, answer: Any) -> None:
    """A worker needs the limits and capabilities; owners, clusters and retention are not a node's business."""
    info = answer.namespace_info
    kept = NamespaceInfo(name=info.name, state=info.state, capabilities=info.capabilities, limits=info.limits)
    answer.CopyFrom(DescribeNamespaceResponse(namespace_info=kept))


def _own_heartbeat(scope: Scope, heartbeat: WorkerHeartbeat) -> None:
    heartbeat.task_queue = _own_or_control(scope, heartbeat.task_queue)
    heartbeat.worker_identity = scope.caller.node_id
    heartbeat.worker_instance_key = scope.renamed(heartbeat.worker_instance_key)
    if heartbeat.HasField("host_info"):
        heartbeat.host_info.worker_grouping_key = scope.renamed(CONTROL_QUEUE)


def _own_or_control(scope: Scope, queue: str) -> str:
    return queue if scope.is_own(queue) else scope.control_queue(queue)


def _foreign(scope: Scope, queue: str) -> Refusal:
    return Refusal(Reason.QUEUE, f"task queue {shown(queue)} is not one of node {scope.caller.node_id}")
