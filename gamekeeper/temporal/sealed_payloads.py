"""Payloads of Temporal, encrypted: the codec of all processes that speak to it, and the gateway's for agents.

A whole payload, its metadata and its marks (signature, proof) included, is encrypted; what stays readable is the key's
id and, of a node's answer, the node. What is not encrypted passes as it is: it was written before there were keys.
Ids, names of queues, types and search attributes are no payloads, and stay readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)
from temporalio.exceptions import ApplicationError

from gamekeeper.domain.access.payload_trouble import PayloadTrouble
from gamekeeper.errors import GamekeeperError
from gamekeeper.payload_keys import cipher
from gamekeeper.payload_keys.cipher import AlteredError
from gamekeeper.payload_keys.live import GivenUpKeyError, MissingKeyError, PayloadKeys
from gamekeeper.payload_keys.troubles import PayloadTroubles
from gamekeeper.ports.payload_trouble_log import PayloadTroubleLog
from gamekeeper.temporal.queues import node_of

ENCODING, ENCRYPTED = "encoding", b"binary/encrypted"  # as Temporal's samples name it, and its UI knows it
KEY_ID = "encryption-key-id"
NODE = "gamekeeper-node"
MAX_OVERHEAD = 256  # bytes that a payload grows by, for limits of sizes
GIVEN_UP = "PayloadKeyGivenUp"


@dataclass(frozen=True)
class PayloadSeals:
    """Encrypts and decrypts single payloads with the keys of now, and notes what it can't read."""

    keys: PayloadKeys
    troubles: PayloadTroubles = field(default_factory=PayloadTroubles)

    def sealed(self, payload: Payload, node: str = "") -> Payload:
        """``node`` is the one that the payload comes from; empty for the control plane."""
        key = self.keys.writer()
        if key is None:
            return payload
        data = cipher.seal(key.secret_bytes(), payload.SerializeToString(), _bound_to(key.id, node))
        found = Payload(metadata={ENCODING: ENCRYPTED, KEY_ID: key.id.encode()}, data=data)
        if node:
            found.metadata[NODE] = node.encode()
        return found

    def opened(self, payload: Payload, node: str | None, subject: str = "", *, noted: bool = True) -> Payload:
        """``node`` is the one that it has to come from; None takes it from whomever it says.

        Raises MissingKeyError, GivenUpKeyError and AlteredError; where ``noted``, they are a trouble of ``subject``.
        """
        if not is_sealed(payload):
            return payload
        key_id = payload.metadata[KEY_ID].decode(errors="replace") if KEY_ID in payload.metadata else ""
        try:
            found = self._opened(payload, key_id, node)
        except GivenUpKeyError:
            raise  # somebody knows
        except GamekeeperError as error:
            if noted:
                is_missing = isinstance(error, MissingKeyError)
                self.troubles.note(PayloadTrouble(subject, key_id[:40], str(error), is_missing))
            raise
        self.troubles.over(subject, key_id)
        return found

    async def tell(self, log: PayloadTroubleLog, reader: str) -> None:
        """Writes down what could not be read, a spoiled file included. Raises UnavailableError."""
        self.keys.look()
        if self.keys.trouble:
            self.troubles.note(PayloadTrouble("", "", self.keys.trouble))
        else:
            self.troubles.over("", "")
        await self.troubles.tell(log, reader)

    def _opened(self, payload: Payload, key_id: str, node: str | None) -> Payload:
        said = payload.metadata[NODE].decode(errors="replace") if NODE in payload.metadata else ""
        if node is not None and said != node:
            raise AlteredError("an encrypted payload is not from where it should be: somebody put it there")
        key = self.keys.reader(key_id)
        try:
            return Payload.FromString(cipher.opened(key.secret_bytes(), payload.data, _bound_to(key.id, said)))
        except DecodeError as error:
            raise AlteredError("an encrypted payload holds no payload") from error


def is_sealed(payload: Payload) -> bool:
    return ENCODING in payload.metadata and payload.metadata[ENCODING] == ENCRYPTED


def _bound_to(key_id: str, node: str) -> bytes:
    return b"gamekeeper payload 1:%d:%b:%b" % (len(key_id), key_id.encode(), node.encode())


class _Codec(Protocol):
    """Both of the SDK's: a codec, and one for each place."""

    def with_context(self, context: SerializationContext) -> _Codec: ...
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]: ...
    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]: ...


class SealingCodec(PayloadCodec, WithSerializationContext):
    """Around the codec of a process, which marks and checks what is inside. ``node`` is the one that encodes here.

    Where it is a worker's, a key that was given up ends the workflow in words: nobody can ever read its history again.
    Any other failure fails the workflow's task, which is tried again: the key may be restored.
    """

    def __init__(self, inner: _Codec, seals: PayloadSeals, *, node: str = "", is_of_a_worker: bool = False) -> None:
        self._inner = inner
        self._seals = seals
        self._node = node
        self._is_of_a_worker = is_of_a_worker
        self._from: str | None = None
        self._subject = ""

    def with_context(self, context: SerializationContext) -> SealingCodec:
        inner = self._inner.with_context(context)
        found = SealingCodec(inner, self._seals, node=self._node, is_of_a_worker=self._is_of_a_worker)
        found._from = "" if self._node else _writer(context)
        found._subject = _workflow(context)
        return found

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._seals.sealed(payload, self._node) for payload in await self._inner.encode(payloads)]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        try:
            opened = [self._seals.opened(payload, self._from, self._subject) for payload in payloads]
        except GivenUpKeyError as error:
            if not self._is_of_a_worker:
                raise
            raise ApplicationError(str(error), type=GIVEN_UP, non_retryable=True) from error
        return await self._inner.decode(opened)


def data_converter(codec: PayloadCodec | None) -> DataConverter:
    """The converter of all processes. Behind a codec that encrypts, the words of failures are payloads, too."""
    converter = replace(pydantic_data_converter, payload_codec=codec)
    if not isinstance(codec, SealingCodec):
        return converter
    return replace(converter, failure_converter_class=DefaultFailureConverterWithEncodedAttributes)


def _writer(context: SerializationContext) -> str:
    """The node that answers in this place; empty for the control plane."""
    if isinstance(context, ActivitySerializationContext):
        return node_of(context.activity_task_queue or "")
    return ""


def _workflow(context: SerializationContext) -> str:
    if isinstance(context, WorkflowSerializationContext | ActivitySerializationContext):
        return context.workflow_id or ""
    return ""
