"""The inputs of nodes' activities, signed by the control worker and checked by the agent: a codec on each side.

The signature stands in the payload's metadata, inside of what is encrypted. It covers the bytes, the task
queue (which names the node), the workflow, the activity's type and id (which names step and try), and its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
)

from gamekeeper.certificates.step_signature import Signature, StepSigner, StepVerifier
from gamekeeper.errors import InvalidError
from gamekeeper.temporal.queues import is_of_a_node
from gamekeeper.temporal.sealed_payloads import is_sealed

SIGNED_SECONDS = 30 * 86_400  # a step may wait for its node, and be handed out again while it runs
VALUE, CHAIN, UNTIL = "gamekeeper-signature", "gamekeeper-signer", "gamekeeper-signed-until"
UNCHECKED = "its input was not checked"
ENCRYPTED_INPUT = (
    "its steps are encrypted, and this agent has no key: let it reach Temporal through the gateway, or give it "
    "GAMEKEEPER_AGENT_PAYLOAD_KEYS"
)
_refusal: ContextVar[str] = ContextVar("refusal", default=UNCHECKED)


def refusal() -> str:
    """The reason not to trust the input of the activity that runs here; empty for a good one."""
    return _refusal.get()


@dataclass(frozen=True)
class _Place:
    """The one activity that an input is for."""

    queue: str
    workflow_id: str
    activity_type: str
    activity_id: str

    def message(self, index: int, until: str, payload: Payload) -> bytes:
        """The bytes that are signed. Lengths stand before the parts: no two lists of parts give the same bytes."""
        names = (self.queue, self.workflow_id, self.activity_type, self.activity_id, str(index), until)
        parts = (b"gamekeeper step 1", *(name.encode() for name in names), payload.metadata["encoding"], payload.data)
        return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def _place(context: SerializationContext) -> _Place | None:
    """None for what is not the input of a node's activity."""
    if not isinstance(context, ActivitySerializationContext) or not is_of_a_node(context.activity_task_queue or ""):
        return None
    ids = (context.workflow_id, context.activity_type, context.activity_id)
    return _Place(context.activity_task_queue or "", *(text or "" for text in ids))


class SigningCodec(PayloadCodec, WithSerializationContext):
    """``signer`` gives the newest one; ``clock`` Unix seconds."""

    def __init__(self, signer: Callable[[], StepSigner], clock: Callable[[], float] = time.time) -> None:
        self._signer = signer
        self._clock = clock
        self._place: _Place | None = None

    def with_context(self, context: SerializationContext) -> SigningCodec:
        found = SigningCodec(self._signer, self._clock)
        found._place = _place(context)
        return found

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._signed(index, payload) for index, payload in enumerate(payloads)]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    def _signed(self, index: int, payload: Payload) -> Payload:
        if self._place is None:
            return payload
        until = str(int(self._clock() + SIGNED_SECONDS))
        signature = self._signer().sign(self._place.message(index, until, payload))
        signed = Payload()
        signed.CopyFrom(payload)
        signed.metadata[VALUE] = signature.value
        signed.metadata[CHAIN] = signature.chain
        signed.metadata[UNTIL] = until.encode()
        return signed


class VerifyingCodec(PayloadCodec, WithSerializationContext):
    """Lets everything through, and leaves word for ``refusal``: a step that runs already is gone on with, whatever is
    wrong with a further delivery of it."""

    def __init__(
        self,
        verifier: StepVerifier,
        clock: Callable[[], float] = time.time,
        met_encrypted: Callable[[], None] = lambda: None,
    ) -> None:
        """``met_encrypted`` is called for an input that this agent has no key for, which is given back."""
        self._verifier = verifier
        self._clock = clock
        self._met_encrypted = met_encrypted
        self._place: _Place | None = None

    def with_context(self, context: SerializationContext) -> VerifyingCodec:
        found = VerifyingCodec(self._verifier, self._clock, self._met_encrypted)
        found._place = _place(context)
        return found

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if any(is_sealed(payload) for payload in payloads):
            self._met_encrypted()
            raise InvalidError(ENCRYPTED_INPUT)
        if self._place is not None and _refusal.get() == UNCHECKED:  # the input comes first, heartbeats' details later
            reasons = [self._why_not(self._place, index, payload) for index, payload in enumerate(payloads)]
            _refusal.set(next(filter(None, reasons), ""))
        return list(payloads)

    def _why_not(self, place: _Place, index: int, payload: Payload) -> str:
        found = payload.metadata
        if not all(name in found for name in (VALUE, CHAIN, UNTIL, "encoding")):
            return "it is not signed"
        until, now = found[UNTIL].decode(errors="replace"), self._clock()
        signature = Signature(found[VALUE], found[CHAIN])
        message = place.message(index, until, payload)
        if reason := self._verifier.why_not(signature, message, datetime.fromtimestamp(now, UTC)):
            return reason
        if int(until) < now:
            return f"its signature was good until {datetime.fromtimestamp(int(until), UTC):%Y-%m-%d %H:%M} UTC"
        return ""
