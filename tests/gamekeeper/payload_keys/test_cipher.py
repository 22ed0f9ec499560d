"""AES-256-GCM as payloads use it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.payload_keys.cipher import OVERHEAD, AlteredError, opened, seal

KEY, OTHER = b"k" * 32, b"o" * 32


@given(st.binary(max_size=4096), st.binary(max_size=64))
def test_what_is_sealed_opens_to_the_same(text: bytes, place: bytes) -> None:
    sealed = seal(KEY, text, place)
    assert len(sealed) == len(text) + OVERHEAD
    assert opened(KEY, sealed, place) == text


@given(st.binary(min_size=1, max_size=200), st.integers(min_value=0), st.integers(1, 255))
def test_whatever_is_changed_is_seen(text: bytes, where: int, how: int) -> None:
    sealed = bytearray(seal(KEY, text, b"here"))
    sealed[where % len(sealed)] ^= how
    with pytest.raises(AlteredError):
        opened(KEY, bytes(sealed), b"here")


@pytest.mark.parametrize(("key", "place"), [(OTHER, b"here"), (KEY, b"there"), (KEY, b"")])
def test_another_key_or_place_opens_nothing(key: bytes, place: bytes) -> None:
    with pytest.raises(AlteredError):
        opened(key, seal(KEY, b"words", b"here"), place)


@given(st.binary(max_size=40))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(AlteredError):
        opened(KEY, noise, b"here")


def test_the_same_text_is_never_the_same_twice() -> None:
    assert len({seal(KEY, b"words", b"") for _ in range(100)}) == 100
