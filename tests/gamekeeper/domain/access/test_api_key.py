"""API keys: when one is good, and the names that starts give."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from gamekeeper.domain.access.api_key import ApiKeyState, api_key_state, free_name
from gamekeeper.keys import api_key_id, new_api_key, new_key, weakness

NOW = datetime(2026, 11, 30, tzinfo=UTC)
LATER, BEFORE = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "state"),
    [
        (None, None, ApiKeyState.GOOD),
        (LATER, None, ApiKeyState.GOOD),
        (NOW, None, ApiKeyState.EXPIRED),
        (BEFORE, None, ApiKeyState.EXPIRED),
        (LATER, BEFORE, ApiKeyState.REVOKED),
        (BEFORE, BEFORE, ApiKeyState.REVOKED),
    ],
)
def test_the_state_of_a_key(expires_at: datetime | None, revoked_at: datetime | None, state: ApiKeyState) -> None:
    assert api_key_state(expires_at=expires_at, revoked_at=revoked_at, now=NOW) is state


def test_a_taken_name_gets_a_number() -> None:
    assert [free_name("admin", taken) for taken in ([], ["admin"], ["admin", "admin-2"])] == [
        "admin",
        "admin-2",
        "admin-3",
    ]


def test_names_that_differ_by_capitals_alone_are_one() -> None:
    assert free_name("admin", ["Admin", "ADMIN-2"]) == "admin-3"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("a1" * 15, "shorter than 32"),
        ("changeme" * 4, "could be guessed"),
        ("a" * 64, "could be guessed"),
        ("0123456789abcdef 0123456789abcdef", "no header can carry"),
        ("0123456789abcdef\n0123456789abcdef", "no header can carry"),
        ("0123456789abcdef0123456789abcdeé", "no header can carry"),
        ("0123456789abcdef0123456789abcd\x7f\x00", "no header can carry"),
        ("gk_first-key-of-at-least-32-characters", ""),
    ],
)
def test_a_key_that_somebody_chose_is_judged(key: str, words: str) -> None:
    assert words in weakness(key)
    assert bool(weakness(key)) == bool(words)


def test_keys_that_are_made_are_sound() -> None:
    for key in (secrets.token_hex(16), new_api_key("0f9a33c1"), new_key("gk_")):
        assert not weakness(key)


def test_a_key_names_its_id() -> None:
    assert api_key_id(new_api_key("0f9a33c1")) == "0f9a33c1"
    assert api_key_id("gk_" + "a" * 43) == ""
