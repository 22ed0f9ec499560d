"""The table of calls: every field of every request that may pass, and none besides."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.failure.v1 import Failure
from temporalio.api.nexus.v1 import Request, StartOperationRequest
from temporalio.api.nexusservices.workerservice.v1 import ExecuteCommandsRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.worker.v1 import CancelActivityCommand, WorkerCommand, WorkerHeartbeat, WorkerHostInfo
from temporalio.api.workflowservice.v1 import request_response_pb2

from gateway.refusal import Reason, Refusal
from gateway.rules import RULES, SERVICE, SMALL, Rule, Rules
from gateway.tokens import Caller, Kind, Seal
from tests.fixtures.temporal import seals_of

pb: Any = request_response_pb2  # mappings stand for messages in what follows
NORMAL = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
STICKY = TaskQueueKind.TASK_QUEUE_KIND_STICKY
COMMANDS = TaskQueueKind.TASK_QUEUE_KIND_WORKER_COMMANDS
SEAL = Seal(b"s" * 32)
RULES_OF_FLEET = Rules(SEAL, "fleet", seals_of(Path(tempfile.mkdtemp()), in_clear=True))
NODE = Caller("edge-1", 4)
OTHER = Caller("edge-2", 4)
PROCESS = "5f1d3b9e-0a52-4d3f-9d0a-1f2e3d4c5b6a"
CONTROL = f"temporal-sys/worker-commands/fleet/{PROCESS}"
RENAMED = SEAL.renamed(NODE, PROCESS)
ACTIVITY_TOKEN = SEAL.wrap(Kind.ACTIVITY, NODE, b"an activity")
NEXUS_TOKEN = SEAL.wrap(Kind.NEXUS, NODE, b"a command")
LIES = {"namespace": "fleet", "identity": "edge-2"}


def rule(message: Message) -> Rule:
    return RULES[f"/{SERVICE}/{message.DESCRIPTOR.name.removesuffix('Request')}"]


def forwarded(message: Any, caller: Caller = NODE) -> Any:
    found = RULES_OF_FLEET.forwarded(rule(message), message.SerializeToString(), caller)
    return type(message).FromString(found)


def returned(method: str, answer: Any, caller: Caller = NODE) -> Any:
    found = RULES_OF_FLEET.returned(RULES[f"/{SERVICE}/{method}"], answer.SerializeToString(), caller)
    return type(answer).FromString(found)


def poll(name: str = "node:edge-1", kind: Any = NORMAL, **fields: Any) -> Any:
    return pb.PollActivityTaskQueueRequest(task_queue=TaskQueue(name=name, kind=kind), **LIES | fields)


def describe(name: str = "node:edge-1", **fields: Any) -> Any:
    queue = TaskQueue(name=name, kind=NORMAL)
    return pb.DescribeTaskQueueRequest(namespace="fleet", task_queue=queue, task_queue_type=2, **fields)


def poll_commands(name: str = CONTROL, kind: Any = COMMANDS, **fields: Any) -> Any:
    return pb.PollNexusTaskQueueRequest(task_queue=TaskQueue(name=name, kind=kind), **LIES | fields)


def beat(queue: str = "node:edge-1") -> WorkerHeartbeat:
    info = WorkerHostInfo(host_name="host", worker_grouping_key=PROCESS)
    return WorkerHeartbeat(task_queue=queue, worker_identity="edge-2", worker_instance_key=PROCESS, host_info=info)


ACCEPTED: list[Message] = [
    pb.GetSystemInfoRequest(),
    pb.DescribeNamespaceRequest(namespace="fleet"),
    describe(),
    describe("node:edge-1:ctl"),
    poll(),
    poll("node:edge-1:ctl"),
    poll(worker_instance_key=PROCESS, worker_control_task_queue=CONTROL),
    pb.RecordActivityTaskHeartbeatRequest(task_token=ACTIVITY_TOKEN, **LIES),
    pb.RespondActivityTaskCompletedRequest(task_token=ACTIVITY_TOKEN, result=Payloads(), **LIES),
    pb.RespondActivityTaskFailedRequest(task_token=ACTIVITY_TOKEN, failure=Failure(), cause=1, **LIES),
    pb.RespondActivityTaskCanceledRequest(task_token=ACTIVITY_TOKEN, **LIES),
    pb.RecordWorkerHeartbeatRequest(worker_heartbeat=[beat(), beat(CONTROL)], **LIES),
    pb.ShutdownWorkerRequest(reason="end", worker_heartbeat=beat(), task_queue="node:edge-1", **LIES),
    poll_commands(),
    pb.RespondNexusTaskCompletedRequest(task_token=NEXUS_TOKEN, response={}, **LIES),
    pb.RespondNexusTaskFailedRequest(task_token=NEXUS_TOKEN, failure=Failure(), **LIES),
]
REFUSED: list[tuple[str, Message, Reason]] = [
    ("another namespace", poll(namespace="default"), Reason.NAMESPACE),
    ("no namespace", pb.PollActivityTaskQueueRequest(task_queue=poll().task_queue), Reason.NAMESPACE),
    ("describe another namespace", pb.DescribeNamespaceRequest(namespace="temporal-system"), Reason.NAMESPACE),
    *((f"describe {name!r}", describe(name), Reason.QUEUE) for name in ("", "node:edge-2", "control-plane")),
    ("describe the load of a queue", describe(report_stats=True), Reason.FIELD),
    ("describe by id", pb.DescribeNamespaceRequest(namespace="fleet", id="0"), Reason.FIELD),
    *(
        (f"poll {name!r}", poll(name), Reason.QUEUE)
        for name in (
            *("", "node:", "node:edge-2", "node:edge-1:", "node:edge-1:ctl:", "NODE:edge-1", "node:edge-1\0"),
            *("control-plane", "node:edge-11", "node:edge-2:ctl", "/_sys/node:edge-1/1", CONTROL, "node:edge-1:ctl2"),
        )
    ),
    ("a sticky poll", poll(kind=STICKY), Reason.QUEUE),
    ("a poll of no kind", poll(kind=0), Reason.QUEUE),
    ("a poll for commands as an activity", poll(kind=COMMANDS), Reason.QUEUE),
    (
        "a normal name",
        pb.PollActivityTaskQueueRequest(
            task_queue=TaskQueue(name="node:edge-1", kind=NORMAL, normal_name="node:edge-2"), **LIES
        ),
        Reason.QUEUE,
    ),
    ("a rate for the queue", poll(task_queue_metadata={}), Reason.FIELD),
    ("a group of pollers", poll(poller_group_id="g"), Reason.FIELD),
    ("a long name", poll(worker_instance_key="0" * 101), Reason.FIELD),
    *(
        (f"commands from {name!r}", poll_commands(name), Reason.QUEUE)
        for name in (
            *(
                "",
                "node:edge-1",
                "temporal-sys/worker-commands/fleet/",
                "temporal-sys/worker-commands/other/" + PROCESS,
            ),
            *(CONTROL + "/1", "x" + CONTROL, "control-plane"),
        )
    ),
    ("a Nexus poll of its own queue", poll_commands("node:edge-1", NORMAL), Reason.QUEUE),
    ("a normal poll for commands", poll_commands(kind=NORMAL), Reason.QUEUE),
    ("beats inside a poll", poll_commands(worker_heartbeat=[beat()]), Reason.FIELD),
    ("a foreign control queue", poll(worker_control_task_queue="node:edge-2"), Reason.QUEUE),
    (
        "a beat of another's worker",
        pb.RecordWorkerHeartbeatRequest(worker_heartbeat=[beat("node:edge-2")], **LIES),
        Reason.QUEUE,
    ),
    ("a beat of no queue", pb.RecordWorkerHeartbeatRequest(worker_heartbeat=[beat("")], **LIES), Reason.QUEUE),
    ("many beats", pb.RecordWorkerHeartbeatRequest(worker_heartbeat=[beat()] * 17, **LIES), Reason.SIZE),
    ("end of another's worker", pb.ShutdownWorkerRequest(task_queue="control-plane", **LIES), Reason.QUEUE),
    ("last beat of another's", pb.ShutdownWorkerRequest(worker_heartbeat=beat("control-plane"), **LIES), Reason.QUEUE),
    ("a token of its own", pb.RespondActivityTaskCompletedRequest(task_token=b"an activity", **LIES), Reason.TOKEN),
    ("no token", pb.RespondActivityTaskFailedRequest(**LIES), Reason.TOKEN),
    (
        "another's token",
        pb.RecordActivityTaskHeartbeatRequest(task_token=SEAL.wrap(Kind.ACTIVITY, OTHER, b"an activity"), **LIES),
        Reason.TOKEN,
    ),
    ("a command's token", pb.RespondActivityTaskCanceledRequest(task_token=NEXUS_TOKEN, **LIES), Reason.TOKEN),
    ("an activity's token", pb.RespondNexusTaskCompletedRequest(task_token=ACTIVITY_TOKEN, **LIES), Reason.TOKEN),
    ("an activity's token", pb.RespondNexusTaskFailedRequest(task_token=ACTIVITY_TOKEN, **LIES), Reason.TOKEN),
    ("a large poll", poll("x" * SMALL), Reason.SIZE),
]


@pytest.mark.parametrize("message", ACCEPTED, ids=lambda message: str(message.DESCRIPTOR.name))
def test_what_an_agent_sends_passes_in_its_own_name(message: Any) -> None:
    found = forwarded(message)
    assert getattr(found, "identity", NODE.node_id) == NODE.node_id
    assert {field.name for field, _ in found.ListFields()} >= {field.name for field, _ in message.ListFields()}


def test_every_method_of_the_table_has_a_row() -> None:
    assert {rule(message) for message in ACCEPTED} == set(RULES.values())


@pytest.mark.parametrize(("message", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_refused(message: Message, reason: Reason) -> None:
    with pytest.raises(Refusal) as caught:
        forwarded(message)
    assert caught.value.reason is reason, caught.value


@pytest.mark.parametrize("path", sorted(RULES))
def test_a_field_that_nobody_knows_is_refused(path: str) -> None:
    raw = b"\xba\x3e\x03abc"  # field 999
    with pytest.raises(Refusal) as caught:
        RULES_OF_FLEET.forwarded(RULES[path], raw, NODE)
    assert caught.value.reason is Reason.FIELD


def test_an_unknown_field_deep_inside_is_refused() -> None:
    inside = Payload.FromString(b"\xba\x3e\x03abc")
    message = pb.RespondActivityTaskCompletedRequest(task_token=ACTIVITY_TOKEN, result={"payloads": [inside]}, **LIES)
    with pytest.raises(Refusal) as caught:
        forwarded(message)
    assert caught.value.reason is Reason.FIELD


@pytest.mark.parametrize("path", sorted(RULES))
def test_every_known_field_is_named_or_refused(path: str) -> None:
    """With the next version of the API a new field is refused until somebody has looked at it."""
    found = RULES[path]
    known = {field.name for field in found.request.DESCRIPTOR.fields}
    assert known >= found.passes | found.drops
    for field in found.request.DESCRIPTOR.fields:
        if field.name in found.passes | found.drops:
            continue
        message: Any = found.request()
        if field.is_repeated:
            values = getattr(message, field.name)
            values.add() if field.message_type is not None else values.append(1)
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
        else:
            setattr(message, field.name, "x" if field.type == field.TYPE_STRING else 1)
        with pytest.raises(Refusal) as caught:
            RULES_OF_FLEET.forwarded(found, message.SerializeToString(), NODE)
        assert caught.value.reason is Reason.FIELD, field.name


@pytest.mark.parametrize("path", sorted(RULES))
def test_noise_is_refused(path: str) -> None:
    with pytest.raises(Refusal) as caught:
        RULES_OF_FLEET.forwarded(RULES[path], b"\xff\xff\xff", NODE)
    assert caught.value.reason is Reason.MALFORMED


def test_what_the_sdk_sends_and_nobody_needs_is_dropped() -> None:
    found = forwarded(poll(worker_version_capabilities={"build_id": "b"}, deployment_options={"build_id": "b"}))
    assert not found.HasField("worker_version_capabilities")
    assert not found.HasField("deployment_options")
    ended = forwarded(pb.ShutdownWorkerRequest(sticky_task_queue="another's", **LIES))
    assert ended.sticky_task_queue == "", "Temporal would unload it"


def test_a_node_in_the_name_of_another_polls_other_queues() -> None:
    assert forwarded(poll("node:edge-2"), OTHER).task_queue.name == "node:edge-2"


def test_names_of_a_worker_are_the_same_in_every_call_and_lead_to_no_other_node() -> None:
    polled = forwarded(poll(worker_instance_key=PROCESS, worker_control_task_queue=CONTROL))
    listening = forwarded(poll_commands(worker_instance_key=PROCESS))
    told = forwarded(pb.RecordWorkerHeartbeatRequest(worker_heartbeat=[beat(CONTROL)], **LIES)).worker_heartbeat[0]
    ended = forwarded(pb.ShutdownWorkerRequest(worker_instance_key=PROCESS, task_queue=CONTROL, **LIES))
    queues = {
        polled.worker_control_task_queue,
        listening.task_queue.name,
        told.task_queue,
        ended.task_queue,
        f"temporal-sys/worker-commands/fleet/{told.host_info.worker_grouping_key}",
        forwarded(poll(worker_control_task_queue=f"{CONTROL}-of-its-next-client")).worker_control_task_queue,
    }
    assert queues == {f"temporal-sys/worker-commands/fleet/{SEAL.renamed(NODE, 'control')}"}
    keys = {message.worker_instance_key for message in (polled, listening, told, ended)}
    assert keys == {RENAMED}
    assert told.worker_identity == NODE.node_id
    assert forwarded(poll_commands(), OTHER).task_queue.name not in queues


def test_a_task_is_handed_out_with_a_token_of_the_node() -> None:
    answer = returned("PollActivityTaskQueue", pb.PollActivityTaskQueueResponse(task_token=b"an activity", attempt=3))
    assert (answer.task_token, answer.attempt) == (ACTIVITY_TOKEN, 3)
    message = pb.RespondActivityTaskCompletedRequest(task_token=answer.task_token, **LIES)
    assert forwarded(message).task_token == b"an activity"


def test_a_poll_without_a_task_stays_empty() -> None:
    assert returned("PollActivityTaskQueue", pb.PollActivityTaskQueueResponse()).task_token == b""
    assert returned("PollNexusTaskQueue", pb.PollNexusTaskQueueResponse()).task_token == b""


def test_a_pushed_cancel_names_the_token_that_the_node_was_given() -> None:
    commands = ExecuteCommandsRequest(
        commands=[WorkerCommand(cancel_activity=CancelActivityCommand(task_token=b"an activity"))]
    )
    start = StartOperationRequest(
        operation="execute", payload=Payload(metadata={"encoding": b"x"}, data=commands.SerializeToString())
    )
    answer = returned(
        "PollNexusTaskQueue",
        pb.PollNexusTaskQueueResponse(task_token=b"a command", request=Request(start_operation=start)),
    )
    assert answer.task_token == NEXUS_TOKEN
    pushed = ExecuteCommandsRequest.FromString(answer.request.start_operation.payload.data)
    assert pushed.commands[0].cancel_activity.task_token == ACTIVITY_TOKEN
    assert answer.request.start_operation.payload.metadata == {"encoding": b"x"}


def test_a_node_hears_of_its_namespace_what_a_worker_needs() -> None:
    answer = returned(
        "DescribeNamespace",
        pb.DescribeNamespaceResponse(
            namespace_info={
                "name": "fleet",
                "owner_email": "ann@example.org",
                "capabilities": {"worker_commands": True},
            },
            config={"custom_search_attribute_aliases": {"a": "b"}},
            replication_config={"active_cluster_name": "east"},
        ),
    )
    assert answer.namespace_info.name == "fleet"
    assert answer.namespace_info.capabilities.worker_commands
    assert {field.name for field, _ in answer.ListFields()} == {"namespace_info"}
    assert answer.namespace_info.owner_email == ""
