"""The makers of noise (``fuzz/``) are what they promise: repeatable, about every call and parser, and loud."""

from __future__ import annotations

from random import Random

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from fuzz import parsers
from fuzz.messages import Spoiler
from fuzz.rest import faults_of
from gamekeeper.rpc.v1 import node_link_pb2 as pb

KINDS = {method.name: method.input_type for method in pb.DESCRIPTOR.services_by_name["NodeLink"].methods}
PRINTED = """
=================================== FAILURES ===================================
___________________________ GET /api/v1/events ___________________________
1. Test Case ID: q7Nu8R

- ST201 Schema-violating request accepted

________________________ DELETE /api/v1/nodes/{node_id} ________________________
1. Test Case ID: VEaaKm

=================================== SUMMARY ====================================
"""


@pytest.mark.parametrize("name", list(KINDS))
def test_messages_come_of_the_seed_alone(name: str) -> None:
    kind = KINDS[name]
    first, again = ([Spoiler(Random(seed)).message(kind, is_sound=False) for seed in range(50)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 5
    assert any(not _can_be_read(kind, message) for message in first)
    assert all(_can_be_read(kind, Spoiler(Random(seed)).message(kind, is_sound=True)) for seed in range(50))


def _can_be_read(kind: Descriptor, message: bytes) -> bool:
    try:
        GetMessageClass(kind).FromString(message)
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("name", list(parsers.PROPERTIES))
def test_a_parser_holds_for_what_is_sound_and_for_scraps(name: str) -> None:
    for sound in parsers.seeds(name):
        for at in range(0, len(sound), 1 + len(sound) // 10):
            parsers.hold(name, sound[:at])
            parsers.hold(name, sound[at:] + sound[:at])
    for scrap in (b"", b"\x00", b"\xff\xfe", b"null", b"[]", b"{}", b"- " * 200, b"9" * 4300):
        parsers.hold(name, scrap)


def test_each_route_that_failed_is_told_by_itself() -> None:
    found = faults_of(PRINTED)
    assert [fault.splitlines()[0] for fault in found] == ["GET /api/v1/events", "DELETE /api/v1/nodes/{node_id}"]
    assert "ST201" in found[0]
