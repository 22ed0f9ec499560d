"""Task tokens are good for one node, one enrolment and one kind of call; names of workers lead to one node alone."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.errors import InvalidError
from gateway.refusal import Reason, Refusal
from gateway.tokens import MAC_BYTES, MAX_TOKEN_BYTES, Caller, Kind, Seal, ensure_secret

SEAL = Seal(b"s" * 32)
NODE = Caller("edge-1", 4)
TOKEN = b"\x0a\x24temporal's own"
WRAPPED = SEAL.wrap(Kind.ACTIVITY, NODE, TOKEN)


def refused(kind: Kind, caller: Caller, wrapped: bytes, seal: Seal = SEAL) -> Reason:
    with pytest.raises(Refusal) as caught:
        seal.unwrap(kind, caller, wrapped)
    return caught.value.reason


@given(st.binary(min_size=1, max_size=MAX_TOKEN_BYTES))
def test_a_token_comes_back_and_is_always_wrapped_the_same(token: bytes) -> None:
    wrapped = SEAL.wrap(Kind.ACTIVITY, NODE, token)
    assert SEAL.unwrap(Kind.ACTIVITY, NODE, wrapped) == token
    assert Seal(b"s" * 32).wrap(Kind.ACTIVITY, NODE, token) == wrapped, "after a restart too"


@pytest.mark.parametrize(
    "caller", [Caller("edge-2", 4), Caller("edge-1", 3), Caller("edge-1", 5), Caller("edge-14", 4), Caller("edge-", 14)]
)
def test_a_token_is_no_good_for_another(caller: Caller) -> None:
    assert refused(Kind.ACTIVITY, caller, WRAPPED) is Reason.TOKEN


def test_a_token_of_the_other_kind_and_of_another_secret() -> None:
    assert refused(Kind.NEXUS, NODE, WRAPPED) is Reason.TOKEN
    assert refused(Kind.ACTIVITY, NODE, WRAPPED, Seal(b"t" * 32)) is Reason.TOKEN


@pytest.mark.parametrize(
    "wrapped", [b"", TOKEN, b"0" * MAC_BYTES, b"0" * MAC_BYTES + TOKEN, WRAPPED[:-1], WRAPPED + b"0"]
)
def test_what_was_never_wrapped(wrapped: bytes) -> None:
    assert refused(Kind.ACTIVITY, NODE, wrapped) is Reason.TOKEN


@given(st.integers(min_value=0, max_value=len(WRAPPED) * 8 - 1))
def test_no_bit_may_change(position: int) -> None:
    changed = bytearray(WRAPPED)
    changed[position // 8] ^= 1 << position % 8
    assert refused(Kind.ACTIVITY, NODE, bytes(changed)) is Reason.TOKEN


def test_a_token_of_any_length_is_not_taken() -> None:
    assert refused(Kind.ACTIVITY, NODE, SEAL.wrap(Kind.ACTIVITY, NODE, b"0" * (MAX_TOKEN_BYTES + 1))) is Reason.TOKEN


def test_names_lead_to_one_node() -> None:
    name = str(uuid.uuid4())
    renamed = SEAL.renamed(NODE, name)
    assert uuid.UUID(renamed).version == 4, "Temporal is given what it expects"
    assert renamed == SEAL.renamed(Caller("edge-1", 5), name), "a certificate that is newer changes no name"
    others = {
        SEAL.renamed(Caller("edge-2", 4), name),
        SEAL.renamed(NODE, name + "0"),
        SEAL.renamed(NODE, renamed),
        name,
    }
    assert renamed not in others
    assert len(others) == 4


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "state" / "gateway.secret"
    first = ensure_secret(path)
    assert len(first) == 64
    assert ensure_secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_secret_that_can_be_guessed(tmp_path: Path) -> None:
    path = tmp_path / "gateway.secret"
    path.write_text("hunter2\n")
    with pytest.raises(InvalidError, match="openssl rand"):
        ensure_secret(path)
