"""The calls that a node may make of Temporal, as one table. All other calls, fields and names are refused.

Pure: bytes in, bytes out. A request is read, checked, and written anew from what the table lets through, so
that nothing reaches Temporal which this page does not name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message
from temporalio.api.workflowservice.v1 import request_response_pb2 as pb
from temporalio.api.workflowservice.v1 import service_pb2

from gamekeeper.temporal.sealed_payloads import PayloadSeals
from gateway import rewriting as rw
from gateway.failures import plain_failure
from gateway.payloads import leave_room, open_input, seal_failure, seal_result
from gateway.refusal import Reason, Refusal, shown
from gateway.tokens import Caller, Seal

SERVICE = service_pb2.DESCRIPTOR.services_by_name["WorkflowService"].full_name

KIB = 1024
SMALL = 16 * KIB
OF_VERSIONS = "worker_version deployment deployment_options"
PAYLOADS = 4 * KIB * KIB  # as much as Temporal's frontend takes in one message


@dataclass(frozen=True)
class Rule:
    """One method. ``passes`` names the fields that reach Temporal; ``drops`` those that the SDK sends and that mean
    nothing here. ``checks`` and ``answers`` change requests and answers in place."""

    request: type[Message]
    answer: type[Message]
    passes: frozenset[str]
    drops: frozenset[str] = frozenset()
    checks: tuple[rw.Change, ...] = ()
    answers: tuple[rw.Change, ...] = ()
    max_bytes: int = SMALL
    is_poll: bool = False

    @property
    def name(self) -> str:
        return self.request.DESCRIPTOR.name.removesuffix("Request")


@dataclass(frozen=True)
class Rules:
    """The table, for the one namespace that nodes work in. ``seal`` is for tokens."""

    seal: Seal
    namespace: str
    payloads: PayloadSeals

    def forwarded(self, rule: Rule, raw: bytes, caller: Caller) -> bytes:
        """The request as Temporal is to see it. Raises Refusal."""
        if len(raw) > rule.max_bytes:
            raise Refusal(Reason.SIZE, f"{rule.name} of {len(raw)} bytes: {rule.max_bytes} are allowed")
        message: Any = _read(rule, raw)
        _keep_fields(rule, message)
        if "namespace" in rule.passes and message.namespace != self.namespace:
            raise Refusal(Reason.NAMESPACE, f"namespace {shown(message.namespace)} is not this fleet's")
        if "identity" in rule.passes:
            message.identity = caller.node_id
        self._change(rule.checks, message, caller)
        return message.SerializeToString()  # type: ignore[no-any-return]

    def returned(self, rule: Rule, raw: bytes, caller: Caller) -> bytes:
        """The answer as the node is to see it. Raises UnreadableTaskError for a task that can't be decrypted."""
        if not rule.answers:
            return raw
        message = rule.answer.FromString(raw)
        self._change(rule.answers, message, caller)
        return message.SerializeToString()

    def _change(self, changes: tuple[rw.Change, ...], message: Message, caller: Caller) -> None:
        scope = rw.Scope(self.seal, self.namespace, caller, self.payloads)
        for change in changes:
            change(scope, message)


def _read(rule: Rule, raw: bytes) -> Message:
    try:
        message = rule.request.FromString(raw)
    except DecodeError as error:
        raise Refusal(Reason.MALFORMED, f"{rule.name} can't be read") from error
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        raise Refusal(
            Reason.FIELD,
            f"{rule.name} has fields that this gateway does not know",
            hint="bring the control plane to the agent's version",
        )
    return message


def _keep_fields(rule: Rule, message: Message) -> None:
    for field, _ in message.ListFields():
        if field.name in rule.drops:
            message.ClearField(field.name)
        elif field.name not in rule.passes:
            raise Refusal(Reason.FIELD, f"the field {field.name} of {rule.name} is not for nodes")


def _rule(
    request: type[Message],
    answer: type[Message],
    passes: str,
    drops: str = "",
    *,
    checks: tuple[rw.Change, ...] = (),
    answers: tuple[rw.Change, ...] = (),
    max_bytes: int = SMALL,
    is_poll: bool = False,
) -> tuple[str, Rule]:
    rule = Rule(
        request, answer, frozenset(passes.split()), frozenset(drops.split()), checks, answers, max_bytes, is_poll
    )
    return f"/{SERVICE}/{rule.name}", rule


def _respond(
    request: type[Message], answer: type[Message], passes: str, drops: str = OF_VERSIONS, *checks: rw.Change
) -> tuple[str, Rule]:
    """An answer to an activity task. It is found by its token; the forms with ids are not here. Details of beats, of
    cancels and of failures come back to a workflow before anybody looks at them, so none pass."""
    return _rule(
        request,
        answer,
        f"namespace identity task_token {passes}",
        f"resource_id {drops}",
        checks=(rw.unwrap_activity_token, *checks),
        max_bytes=PAYLOADS,
    )


RULES: dict[str, Rule] = dict(
    [
        _rule(pb.GetSystemInfoRequest, pb.GetSystemInfoResponse, ""),
        _rule(
            pb.DescribeNamespaceRequest,
            pb.DescribeNamespaceResponse,
            "namespace",
            "weak_consistency",
            answers=(rw.trim_namespace, leave_room),
        ),
        _rule(  # by this an agent sees whether its own polls arrive
            pb.DescribeTaskQueueRequest,
            pb.DescribeTaskQueueResponse,
            "namespace task_queue task_queue_type",
            checks=(rw.own_queue,),
            answers=(rw.trim_task_queue,),
        ),
        _rule(
            pb.PollActivityTaskQueueRequest,
            pb.PollActivityTaskQueueResponse,
            "namespace identity task_queue worker_instance_key worker_control_task_queue",
            "worker_version_capabilities deployment_options",
            checks=(rw.own_queue, rw.rename_worker, rw.rename_control_queue),
            answers=(open_input, rw.wrap_activity_token),
            is_poll=True,
        ),
        _respond(pb.RecordActivityTaskHeartbeatRequest, pb.RecordActivityTaskHeartbeatResponse, "", "details"),
        _respond(
            pb.RespondActivityTaskCompletedRequest,
            pb.RespondActivityTaskCompletedResponse,
            "result",
            OF_VERSIONS,
            seal_result,
        ),
        _respond(
            pb.RespondActivityTaskFailedRequest,
            pb.RespondActivityTaskFailedResponse,
            "failure cause",
            f"last_heartbeat_details {OF_VERSIONS}",
            plain_failure,
            seal_failure,
        ),
        _respond(
            pb.RespondActivityTaskCanceledRequest,
            pb.RespondActivityTaskCanceledResponse,
            "",
            f"details {OF_VERSIONS}",
        ),
        _rule(
            pb.RecordWorkerHeartbeatRequest,
            pb.RecordWorkerHeartbeatResponse,
            "namespace identity worker_heartbeat",
            "resource_id",
            checks=(rw.own_heartbeats,),
            max_bytes=64 * KIB,
        ),
        _rule(
            pb.ShutdownWorkerRequest,
            pb.ShutdownWorkerResponse,
            "namespace identity reason worker_heartbeat worker_instance_key task_queue task_queue_types",
            "sticky_task_queue",  # Temporal unloads the queue of that name, whosoever it is
            checks=(rw.rename_worker, rw.own_shutdown),
        ),
        _rule(
            pb.PollNexusTaskQueueRequest,
            pb.PollNexusTaskQueueResponse,
            "namespace identity task_queue worker_instance_key",
            "worker_version_capabilities deployment_options",
            checks=(rw.own_control_queue, rw.rename_worker),
            answers=(rw.wrap_commands,),
            is_poll=True,
        ),
        _rule(
            pb.RespondNexusTaskCompletedRequest,
            pb.RespondNexusTaskCompletedResponse,
            "namespace identity task_token response",
            checks=(rw.unwrap_nexus_token,),
        ),
        _rule(
            pb.RespondNexusTaskFailedRequest,
            pb.RespondNexusTaskFailedResponse,
            "namespace identity task_token error failure",
            checks=(rw.unwrap_nexus_token, plain_failure),
        ),
    ]
)
