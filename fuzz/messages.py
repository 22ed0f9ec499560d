"""Messages of the protocol, made of its descriptors: sound ones with odd values, spoiled ones, and plain noise."""

from __future__ import annotations

from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.version import PROTOCOL_VERSION

TEXTS = (
    "",
    "a",
    "0123456789ab",
    "work",
    "node-1",
    "noisy-0",
    "running",
    "pulling",
    "{}",
    "[]",
    "null",
    '{"from": 1, "to": 2}',
    '{"complete": true}',
    "gk-0123456789ab-work-1",
    "gk-i-arena-1",
    "8303:8303/udp",
    "\x00",
    "\u202e",
    "ä" * 300,
    "x" * 5000,
    "../../etc",
    "-1",
    "NaN",
    "1e999",
    "DROP TABLE runs",
    "{" * 200,
    "9" * 5000,
    "\x1b[31m",
    '{"version": 2, "images": ["*"], "defaults": {"memory": "1g"}}',
)
WHOLE = (0, 1, 2, 3, 4, 5, 7, 255, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**64 - 1)
FLOATS = (0.0, -0.0, 1.5, -1.0, 1e38, float("inf"), float("-inf"), float("nan"), 1e-45)
BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
MOST_DEEP, MOST_REPEATED, MOST_NOISE = 4, 5, 2000


class Spoiler:
    """All that it makes comes of its random numbers alone."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def message(self, kind: Descriptor, *, is_sound: bool) -> bytes:
        """Bytes for a call that takes ``kind``: sound in form, or spoiled or noise."""
        choice = self._random.random() if not is_sound else 0.5
        if choice < 0.15:
            return self._random.randbytes(self._random.randint(0, MOST_NOISE))
        made = self.filled(kind).SerializeToString()
        return made if choice < 0.6 else self.spoiled(made)

    def filled(self, kind: Descriptor) -> Any:
        """A message that is sound in form, with odd values."""
        return self._filled(kind, 0)

    def hello(self) -> bytes:
        hello = self._filled(pb.Hello.DESCRIPTOR, 0)
        hello.MergeFrom(pb.Hello(protocol_version=PROTOCOL_VERSION, instance="noise"))
        hello.ClearField("policy_json")
        return pb.AgentMessage(hello=hello).SerializeToString()  # type: ignore[arg-type]

    def spoiled(self, made: bytes) -> bytes:
        """Cut off, with some bytes changed, or with a part of it twice."""
        spoiled, at = bytearray(made), self._random.randint(0, len(made))
        way = self._random.randrange(3)
        if way == 0:
            return bytes(spoiled[:at])
        if way == 1:
            return bytes(spoiled[:at] + spoiled[self._random.randint(0, len(made)) :] + spoiled[at:])
        for _ in range(self._random.randint(1, 4) if made else 0):
            spoiled[self._random.randrange(len(spoiled))] = self._random.randrange(256)
        return bytes(spoiled)

    def _filled(self, kind: Descriptor, depth: int) -> Message:
        made: Any = GetMessageClass(kind)()
        chosen = {name: self._random.choice(oneof.fields) for name, oneof in kind.oneofs_by_name.items()}
        for field in kind.fields:
            if field.containing_oneof is not None and chosen[field.containing_oneof.name] is not field:
                continue
            if self._random.random() < 0.25:
                continue
            self._fill(made, field, depth)
        return made  # type: ignore[no-any-return]

    def _fill(self, made: Any, field: FieldDescriptor, depth: int) -> None:
        if field.message_type is not None:
            if depth < MOST_DEEP:
                self._fill_message(made, field, field.message_type, depth)
        elif field.is_repeated:
            getattr(made, field.name).extend(self._value(field) for _ in range(self._random.randint(0, MOST_REPEATED)))
        else:
            setattr(made, field.name, self._value(field))

    def _fill_message(self, made: Any, field: FieldDescriptor, kind: Descriptor, depth: int) -> None:
        if kind.GetOptions().map_entry:
            entry: Any = self._filled(kind, depth + 1)
            if kind.fields_by_name["value"].message_type is None:
                getattr(made, field.name)[entry.key] = entry.value
            else:
                getattr(made, field.name)[entry.key].CopyFrom(entry.value)
            return
        if not field.is_repeated:
            getattr(made, field.name).CopyFrom(self._filled(kind, depth + 1))
            return
        for _ in range(self._random.randint(0, MOST_REPEATED)):
            getattr(made, field.name).add().CopyFrom(self._filled(kind, depth + 1))

    def _value(self, field: FieldDescriptor) -> Any:
        kind = field.cpp_type
        if kind == FieldDescriptor.CPPTYPE_STRING:
            text = self._random.choice(TEXTS)
            return text if field.type != FieldDescriptor.TYPE_BYTES else self._bytes(text)
        if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
            return self._random.choice(FLOATS)
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return self._random.random() < 0.5
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            return self._random.randint(0, 9)
        low, high = BITS[kind]
        return max(low, min(high, self._random.choice(WHOLE) * self._random.choice((1, 1, 1, -1))))

    def _bytes(self, text: str) -> bytes:
        return text.encode() if self._random.random() < 0.5 else self._random.randbytes(self._random.randint(0, 100))
