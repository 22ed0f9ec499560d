"""API keys: when one is good, and the names that starts give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gamekeeper.domain.access.api_key import ApiKeyState, api_key_state, free_name
from gamekeeper.keys import api_key_id, new_api_key

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


def test_a_key_names_its_id() -> None:
    assert api_key_id(new_api_key("0f9a33c1")) == "0f9a33c1"
    assert api_key_id("gk_" + "a" * 43) == ""
