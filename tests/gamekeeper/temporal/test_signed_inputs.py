"""Inputs of nodes' activities on a real Temporal: what the control worker signs is good on its node, in its place and
time, and nothing else is."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import PayloadCodec, SerializationContext, WithSerializationContext
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gamekeeper.certificates.authority import Authority
from gamekeeper.certificates.step_signature import StepSigner, StepVerifier
from gamekeeper.temporal import queues, signed_inputs
from gamekeeper.temporal.signed_inputs import SIGNED_SECONDS, UNTIL, VALUE, SigningCodec, VerifyingCodec
from tests.fixtures.certificates import PASSPHRASE
from tests.fixtures.temporal import with_codec

ACTIVITY_SECONDS = timedelta(seconds=60)


@activity.defn(name="report")
async def report(words: str) -> str:
    """The answer of a node to its input."""
    return f"{words}: {signed_inputs.refusal() or 'good'}"


@workflow.defn(name="ask")
class Ask:
    @workflow.run
    async def run(self, queue: str, activity_id: str) -> str:
        answer: str = await workflow.execute_activity(
            report, "run", task_queue=queue, activity_id=activity_id, start_to_close_timeout=ACTIVITY_SECONDS
        )
        return answer


class RecordingCodec(PayloadCodec, WithSerializationContext):
    """Changes payloads on their way to the agent, and keeps them: an attacker that has Temporal."""

    def __init__(self, inner: SigningCodec, change: Callable[[Payload], Payload]) -> None:
        self.inner, self.change = inner, change

    def with_context(self, context: SerializationContext) -> RecordingCodec:
        return RecordingCodec(self.inner.with_context(context), self.change)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self.change(payload) for payload in await self.inner.encode(payloads)]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)


@dataclass
class Fleet:
    """A control worker and a node, each with its own client. ``late`` is how far the node's clock is ahead."""

    client: Client
    authority: Authority
    late: float = 0.0
    node: str = field(default_factory=lambda: f"n{uuid.uuid4().hex[:8]}")
    control: str = field(default_factory=lambda: f"control-{uuid.uuid4().hex[:8]}")

    @property
    def signing(self) -> SigningCodec:
        made = self.authority.issue_steps(datetime.now(UTC))
        signer = StepSigner(made.key_pem.encode(), made.chain_pem.encode())
        return SigningCodec(lambda: signer)

    @asynccontextmanager
    async def working(self, codec: PayloadCodec | None) -> AsyncIterator[None]:
        verifier = StepVerifier(lambda: self.authority.roots_pem(datetime.now(UTC)))
        agent = with_codec(self.client, VerifyingCodec(verifier, lambda: time.time() + self.late))
        control = Worker(
            with_codec(self.client, codec),
            task_queue=self.control,
            workflows=[Ask],
            activities=[report],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        async with (
            control,
            Worker(agent, task_queue=queues.node_queue(self.node), activities=[report]),
            Worker(agent, task_queue=queues.node_control_queue(self.node), activities=[report]),
        ):
            yield

    async def ask(self, codec: PayloadCodec | None, queue: str = "", activity_id: str = "a.1") -> str:
        async with self.working(codec):
            answer: str = await self.client.execute_workflow(
                "ask",
                args=[queue or queues.node_queue(self.node), activity_id],
                id=uuid.uuid4().hex,
                task_queue=self.control,
            )
        return answer


@pytest.fixture
def fleet(temporal_client: Client, tmp_path: Path) -> Fleet:
    return Fleet(temporal_client, Authority.ensure(tmp_path / "ca", PASSPHRASE, datetime.now(UTC)))


async def test_what_the_control_worker_signs_is_good_on_its_node(fleet: Fleet) -> None:
    assert await fleet.ask(fleet.signing) == "run: good"
    assert await fleet.ask(fleet.signing, queues.node_control_queue(fleet.node)) == "run: good"


async def test_the_control_planes_own_activities_are_not_signed(fleet: Fleet) -> None:
    kept: list[Payload] = []
    codec = RecordingCodec(fleet.signing, keeping(kept))
    assert await fleet.ask(codec, fleet.control) == f"run: {signed_inputs.UNCHECKED}"
    assert kept
    assert not [payload for payload in kept if VALUE in payload.metadata]


async def test_what_is_not_signed_is_refused(fleet: Fleet) -> None:
    assert await fleet.ask(None) == "run: it is not signed"


async def test_another_authoritys_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    other = Fleet(fleet.client, Authority.ensure(tmp_path / "other", PASSPHRASE, datetime.now(UTC)))
    assert "none of the roots" in await fleet.ask(other.signing)


def keeping(kept: list[Payload]) -> Callable[[Payload], Payload]:
    def keep(payload: Payload) -> Payload:
        kept.append(payload)
        return payload

    return keep


def altered(**changed: bytes) -> Callable[[Payload], Payload]:
    def change(payload: Payload) -> Payload:
        if VALUE not in payload.metadata:
            return payload
        other = Payload()
        other.CopyFrom(payload)
        for name, value in changed.items():
            if name == "data":
                other.data = value
            else:
                other.metadata[name] = value
        return other

    return change


@pytest.mark.parametrize(
    "changed",
    [
        {"data": b'"rm"'},
        {UNTIL: b"99999999999"},
        {UNTIL: b"soon"},
        {UNTIL: b"\xff"},
        {VALUE: b"x" * 64},
    ],
)
async def test_what_was_altered_is_refused(fleet: Fleet, changed: dict[str, bytes]) -> None:
    answer = await fleet.ask(RecordingCodec(fleet.signing, altered(**changed)))
    assert "its signature is of something else" in answer


async def test_what_was_signed_for_another_place_is_refused(fleet: Fleet) -> None:
    """The same bytes, sent again as another step, in another run, or to another node."""
    kept: list[Payload] = []
    codec = RecordingCodec(fleet.signing, keeping(kept))
    assert await fleet.ask(codec) == "run: good"
    (signed,) = [payload for payload in kept if VALUE in payload.metadata]

    def again(payload: Payload) -> Payload:
        return signed if VALUE in payload.metadata else payload

    other = Fleet(fleet.client, fleet.authority)
    for repeated in (fleet.ask(RecordingCodec(fleet.signing, again)), other.ask(RecordingCodec(other.signing, again))):
        assert "its signature is of something else" in await repeated


@pytest.mark.parametrize("late", [SIGNED_SECONDS - 86_400, SIGNED_SECONDS + 86_400])
async def test_what_has_expired_is_refused(fleet: Fleet, late: float) -> None:
    fleet.late = late
    answer = await fleet.ask(fleet.signing)
    assert (answer == "run: good") is (late < SIGNED_SECONDS)
    assert late < SIGNED_SECONDS or "its signature was good until" in answer
