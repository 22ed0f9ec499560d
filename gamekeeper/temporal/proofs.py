"""Proofs that work comes from this control plane: a MAC in the metadata of each payload that api and control worker
give to Temporal.

Whoever reaches Temporal can start a workflow, send a signal, or answer an activity of the control plane. Without proofs
the control worker would believe him, and sign the steps that he wants. The proof is inside of what is encrypted.
What a node answers has none: it can't make a pipeline do what its author did not write.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from gamekeeper.errors import InvalidError
from gamekeeper.temporal.ids import SCHEDULE_PREFIX
from gamekeeper.temporal.queues import is_of_a_node
from gamekeeper.whole_file import write_whole

PROOF = "gamekeeper-proof"
EARLIER = "earlier.json"
MIN_KEY_CHARACTERS = 32
_TIME_OF_SCHEDULE = re.compile(r"-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


class WorkKey:
    """The secret of the proofs, in a file that the api makes and that api and control worker read.

    Beside it ``earlier.json`` holds the ids of workflows that began before there were proofs, and need none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        return self._path

    @property
    def is_complete(self) -> bool:
        """True when both files are there."""
        return self._path.exists() and self._earlier.exists()

    def ensure(self) -> bytes:
        """The secret; a new one where there is none. Raises InvalidError, and UnavailableError on a full disk."""
        if not self._path.exists():
            write_whole(self._path, secrets.token_hex(32))
        return self.read()

    def read(self) -> bytes:
        """Raises InvalidError for a file that holds no secret."""
        try:
            text = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidError(f"{self._path} can't be read: {error}") from error
        if len(text) < MIN_KEY_CHARACTERS:
            raise InvalidError(
                f"{self._path} has less than {MIN_KEY_CHARACTERS} characters", hint="restore it from a backup"
            )
        return text.encode()

    def write_earlier(self, workflow_ids: Collection[str]) -> None:
        """Raises UnavailableError on a full disk."""
        write_whole(self._earlier, json.dumps(sorted(workflow_ids)))

    def earlier(self) -> frozenset[str]:
        """Raises InvalidError for a file that can't be read."""
        try:
            return frozenset(json.loads(self._earlier.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise InvalidError(f"{self._earlier} can't be read: {error}") from error

    @property
    def _earlier(self) -> Path:
        return self._path.with_name(EARLIER)


class ProvingCodec(PayloadCodec, WithSerializationContext):
    """Proves what it encodes. What it decodes it takes as it is: the api reads, and starts nothing by that."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._place: tuple[str, ...] | None = None

    def with_context(self, context: SerializationContext) -> ProvingCodec:
        found = ProvingCodec(self._key)
        found._place = _place(context)
        return found

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._proven(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    def _proven(self, payload: Payload) -> Payload:
        if self._place is None:
            return payload
        proven = Payload()
        proven.CopyFrom(payload)
        proven.metadata[PROOF] = self._proof(self._place, payload)
        return proven

    def is_proven(self, payload: Payload) -> bool:
        if self._place is None:
            return False
        return hmac.compare_digest(payload.metadata.get(PROOF, b""), self._proof(self._place, payload))

    def _proof(self, place: tuple[str, ...], payload: Payload) -> bytes:
        metadata = [(name, value) for name, value in sorted(payload.metadata.items()) if name != PROOF]
        parts = [text.encode() for text in place]
        parts += [part for name, value in metadata for part in (name.encode(), value)]
        message = b"".join(b"%d:%b" % (len(part), part) for part in [*parts, payload.data])
        return hmac.digest(self._key, message, hashlib.sha256)


class ControlCodec(PayloadCodec, WithSerializationContext):
    """The control worker's: signs what goes to nodes, proves all else, and takes nothing that is not proven.

    ``signing`` is the codec for nodes' inputs, ``earlier`` has the workflows that need no proofs. A payload without a
    proof fails the workflow's task, or the activity; it changes nothing.
    """

    def __init__(self, signing: WithSerializationContext, proving: ProvingCodec, earlier: Collection[str]) -> None:
        self._signing = signing
        self._proving = proving
        self._earlier = earlier
        self._context: SerializationContext | None = None

    def with_context(self, context: SerializationContext) -> ControlCodec:
        found = ControlCodec(self._signing.with_context(context), self._proving.with_context(context), self._earlier)
        found._context = context
        return found

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        assert isinstance(self._signing, PayloadCodec)
        return await self._proving.encode(await self._signing.encode(payloads))

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if not _is_of_a_node(self._context) and not self._is_earlier():
            for payload in payloads:
                if not self._proving.is_proven(payload):
                    raise InvalidError(
                        f"something was sent to {_name(self._context)} that this control plane has not made",
                        hint="somebody else reaches Temporal, or work.key, beside GAMEKEEPER_STEPS_KEY, was replaced",
                    )
        return list(payloads)

    def _is_earlier(self) -> bool:
        return _workflow_of(self._context) in self._earlier


def _place(context: SerializationContext) -> tuple[str, ...] | None:
    """A payload is good for its workflow, and for its type of activity there. None for what a node's activity is
    given, and for what it answers."""
    if isinstance(context, WorkflowSerializationContext):
        return ("workflow", _without_time(context.workflow_id))
    if isinstance(context, ActivitySerializationContext) and not _is_of_a_node(context):
        return ("activity", _without_time(context.workflow_id or ""), context.activity_type or "")
    return None


def _without_time(workflow_id: str) -> str:
    """A schedule's terms are encoded once, for an id to which Temporal adds each time."""
    if workflow_id.startswith(SCHEDULE_PREFIX):
        return _TIME_OF_SCHEDULE.sub("", workflow_id)
    return workflow_id


def _is_of_a_node(context: SerializationContext | None) -> bool:
    return isinstance(context, ActivitySerializationContext) and is_of_a_node(context.activity_task_queue or "")


def _workflow_of(context: SerializationContext | None) -> str:
    if isinstance(context, WorkflowSerializationContext | ActivitySerializationContext):
        return context.workflow_id or ""
    return ""


def _name(context: SerializationContext | None) -> str:
    return f"workflow {_workflow_of(context)}" if _workflow_of(context) else "a workflow"
