"""Payloads through the gateway: open for the node that they are for, encrypted for Temporal."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import request_response_pb2
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gamekeeper.payload_keys.ring_file import RingFile, new_key
from gamekeeper.temporal.sealed_payloads import GIVEN_UP, NODE, PayloadSeals, SealingCodec, is_sealed
from gateway.payloads import WORDS, UnreadableTaskError
from gateway.rules import RULES, SERVICE, Rules
from gateway.tokens import Caller, Kind, Seal
from tests.fixtures.gateway import Gated
from tests.fixtures.temporal import PlainCodec, seals_of, with_codec
from tests.hang import HANG_SECONDS

pb: Any = request_response_pb2
SEAL, NODE_1 = Seal(b"s" * 32), Caller("edge-1", 4)
CANARY = Payload(metadata={"encoding": b"json/plain"}, data=b'"canary"')
LIMIT = timedelta(seconds=60)


@pytest.fixture
def seals(tmp_path: Path) -> PayloadSeals:
    return seals_of(tmp_path)


def forwarded(seals: PayloadSeals, request: Any) -> Any:
    request.task_token, request.namespace = SEAL.wrap(Kind.ACTIVITY, NODE_1, b"token"), "fleet"
    rule = RULES[f"/{SERVICE}/{request.DESCRIPTOR.name.removesuffix('Request')}"]
    raw = Rules(SEAL, "fleet", seals).forwarded(rule, request.SerializeToString(), NODE_1)
    assert b"canary" not in raw
    return type(request).FromString(raw)


def returned(seals: PayloadSeals, method: str, answer: Any) -> Any:
    raw = Rules(SEAL, "fleet", seals).returned(RULES[f"/{SERVICE}/{method}"], answer.SerializeToString(), NODE_1)
    return type(answer).FromString(raw)


def test_a_result_is_encrypted_under_the_nodes_name(seals: PayloadSeals) -> None:
    found = forwarded(seals, pb.RespondActivityTaskCompletedRequest(result=Payloads(payloads=[CANARY, CANARY])))
    assert [seals.opened(each, "edge-1") for each in found.result.payloads] == [CANARY, CANARY]
    assert {bytes(each.metadata[NODE]) for each in found.result.payloads} == {b"edge-1"}


def test_what_a_node_sends_as_encrypted_is_opened_for_nobody(seals: PayloadSeals) -> None:
    """It has found the bytes of another's input somewhere, and wants to have them read out to it."""
    stolen = seals.sealed(CANARY, "")
    found = forwarded(seals, pb.RespondActivityTaskCompletedRequest(result=Payloads(payloads=[stolen])))
    assert seals.opened(found.result.payloads[0], "edge-1") == stolen


def test_words_and_stacks_of_failures_are_encrypted(seals: PayloadSeals) -> None:
    cause = Failure(message="canary 2", stack_trace="at canary")
    failure = Failure(message="canary 1", stack_trace="in canary", cause=cause)
    failure.application_failure_info.type = "step_refused"
    found = forwarded(seals, pb.RespondActivityTaskFailedRequest(failure=failure)).failure
    assert (found.message, found.stack_trace, found.application_failure_info.type) == (WORDS, "", "step_refused")
    assert (found.cause.message, found.cause.stack_trace) == (WORDS, "")
    assert seals.opened(found.cause.encoded_attributes, "edge-1").data == (
        b'{"message": "canary 2", "stack_trace": "at canary"}'
    )


def test_an_input_is_opened_for_its_node(seals: PayloadSeals) -> None:
    given = Payloads(payloads=[seals.sealed(CANARY), CANARY])
    answer = pb.PollActivityTaskQueueResponse(task_token=b"token", input=given)
    found = returned(seals, "PollActivityTaskQueue", answer)
    assert list(found.input.payloads) == [CANARY, CANARY], "what was written in clear passes"
    assert found.task_token == SEAL.wrap(Kind.ACTIVITY, NODE_1, b"token")
    assert returned(seals, "PollActivityTaskQueue", pb.PollActivityTaskQueueResponse()).task_token == b""


@pytest.mark.parametrize("spoiled", ["another key", "another node's answer", "altered"])
def test_an_input_that_can_not_be_read_is_given_back(seals: PayloadSeals, tmp_path: Path, spoiled: str) -> None:
    (tmp_path / "other").mkdir()
    sealed = seals.sealed(CANARY, "edge-2" if spoiled == "another node's answer" else "")
    if spoiled == "another key":
        sealed = seals_of(tmp_path / "other").sealed(CANARY)
    elif spoiled == "altered":
        sealed.data = sealed.data[:-1]
    answer = pb.PollActivityTaskQueueResponse(task_token=b"token", input=Payloads(payloads=[sealed]))
    with pytest.raises(UnreadableTaskError) as caught:
        returned(seals, "PollActivityTaskQueue", answer)
    told = pb.RespondActivityTaskFailedRequest.FromString(caught.value.answer("fleet"))
    assert (told.task_token, told.namespace) == (b"token", "fleet")
    assert not told.failure.application_failure_info.non_retryable
    assert told.failure.application_failure_info.next_retry_delay.seconds > 0


def test_an_agent_leaves_room_for_what_is_added(seals: PayloadSeals) -> None:
    answer = pb.DescribeNamespaceResponse()
    answer.namespace_info.limits.blob_size_limit_error = 2_000_000
    found = returned(seals, "DescribeNamespace", answer).namespace_info.limits.blob_size_limit_error
    largest = Payload(data=b"x" * (found - 10))
    assert seals.sealed(largest, "a-node-with-a-name-of-some-length").ByteSize() <= 2_000_000


@workflow.defn(name="payloads-of-a-node")
class OfANode:
    @workflow.run
    async def run(self, node_id: str, name: str, words: str) -> str:
        answer: str = await workflow.execute_activity(
            name,
            words,
            task_queue=f"node:{node_id}",
            start_to_close_timeout=LIMIT,
            heartbeat_timeout=LIMIT,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=0),
            summary=f"summary of {words}",
        )
        return answer


@activity.defn
async def echo(words: str) -> str:
    activity.heartbeat(f"heartbeat of {words}")
    return f"echo of {words}"


@activity.defn
async def fail(words: str) -> str:
    try:
        raise ValueError(f"cause with {words}")
    except ValueError as error:
        raise ApplicationError(f"failed with {words}", type="odd", non_retryable=True) from error


class Fleet:
    """A gateway with keys, a control worker of the same keys, and a node that has none."""

    def __init__(self, gated: Gated, temporal: Client, seals: PayloadSeals) -> None:
        self.gated = gated
        self.seals = seals
        self.raw = temporal
        self.control = with_codec(temporal, SealingCodec(PlainCodec(), seals, is_of_a_worker=True))
        self.node = f"n-{uuid.uuid4().hex[:8]}"
        self.queue = f"payloads-{uuid.uuid4().hex[:8]}"

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        client = await self.gated.client(self.node)
        node = Worker(client, task_queue=f"node:{self.node}", activities=[echo, fail])
        control = Worker(
            self.control, task_queue=self.queue, workflows=[OfANode], workflow_runner=UnsandboxedWorkflowRunner()
        )
        async with node, control:
            yield

    async def begin(self, name: str, words: str) -> WorkflowHandle[Any, Any]:
        return await self.control.start_workflow(
            "payloads-of-a-node",
            args=[self.node, name, words],
            id=f"payloads/{uuid.uuid4().hex}",
            task_queue=self.queue,
        )


@pytest.fixture
async def fleet(gateways: Callable[..., Any], temporal_client: Client, seals: PayloadSeals) -> Fleet:
    return Fleet(await gateways(payload_keys=seals.keys.path), temporal_client, seals)


async def test_a_node_without_keys_works_and_temporal_reads_nothing(fleet: Fleet) -> None:
    async with fleet.working(), asyncio.timeout(HANG_SECONDS):
        ran = await fleet.begin("echo", "canary")
        assert await ran.result() == "echo of canary"
        failed = await fleet.begin("fail", "canary")
        with pytest.raises(WorkflowFailureError) as caught:
            await failed.result()
    error = caught.value.cause
    assert isinstance(error, ActivityError)
    assert isinstance(error.cause, ApplicationError)
    assert (error.cause.message, error.cause.type) == ("failed with canary", "odd")
    assert "cause with canary" in str(error.cause.cause)
    for handle in (ran, failed):
        raw = (await fleet.raw.get_workflow_handle(handle.id).fetch_history()).to_json()
        assert "canary" not in raw
        assert "Y2FuYXJ5" not in raw, "nor in base64"


async def test_a_rotation_changes_nothing_for_what_goes_on(fleet: Fleet) -> None:
    async with fleet.working(), asyncio.timeout(HANG_SECONDS):
        before = await fleet.begin("echo", "one")
        now = datetime.now(UTC)
        fleet.seals.keys.file.change(lambda ring: ring.with_key(new_key(now, now)))
        fleet.seals.keys.look()
        after = await fleet.begin("echo", "two")
        assert [await before.result(), await after.result()] == ["echo of one", "echo of two"]
    used = {key async for key in _keys_of(after)}
    assert fleet.seals.keys.ring.keys[1].id in used


async def _keys_of(handle: WorkflowHandle[Any, Any]) -> AsyncIterator[str]:
    async for event in handle.fetch_history_events():
        for payload in event.workflow_execution_started_event_attributes.input.payloads:
            assert is_sealed(payload)
            yield payload.metadata["encryption-key-id"].decode()


async def test_a_lost_key_is_told_and_the_step_waits_for_it(fleet: Fleet) -> None:
    """The gateway alone has lost its file: the step is given back until the file is there again."""
    fleet.seals.keys._looked_at = float("inf")  # the control worker has a copy of its own
    path = fleet.gated.process.seals.keys.path
    text, spare = path.read_text(), RingFile(path.with_name("spare.key"))
    spare.ensure()
    path.write_text(spare.path.read_text())
    fleet.gated.process.seals.keys.look()
    async with fleet.working(), asyncio.timeout(HANG_SECONDS):
        waiting = await fleet.begin("echo", "canary")
        while not (noted := fleet.gated.process.seals.troubles.take()[0]):
            await asyncio.sleep(0.05)
        assert noted[0].subject == waiting.id
        assert "is not in payloads.key" in noted[0].message
        path.write_text(text)
        assert await waiting.result() == "echo of canary"


async def test_a_key_that_was_given_up_ends_the_step_in_words(fleet: Fleet) -> None:
    control = fleet.seals.keys.ring
    first, now = control.keys[0].id, datetime.now(UTC)
    async with fleet.working(), asyncio.timeout(HANG_SECONDS):
        gateway = fleet.gated.process.seals.keys
        gateway._ring = control.given_up(first, "key:admin", now, new_key(now, now))
        gateway._looked_at = float("inf")  # the control worker has yet to hear of it
        handle = await fleet.begin("echo", "canary")
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    error = caught.value.cause
    assert isinstance(error, ActivityError)
    assert isinstance(error.cause, ApplicationError)
    assert error.cause.type == GIVEN_UP
    assert "was given up by key:admin" in error.cause.message
