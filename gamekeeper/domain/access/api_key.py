"""API keys: their names, how many there are, and when one is good."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

ADMIN = "admin"  # the key that a start of the api is given, where the name is free
KEY_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
MAX_KEY_NAME = 63
MAX_GOOD_KEYS = 1000
MAX_GOOD_SECRETS = 10  # of one key
LAST_GOOD_FOR = timedelta(hours=1)  # a key that runs out before leaves nobody in
OVERLAP = timedelta(hours=1)
MAX_OVERLAP = timedelta(days=30)
KEPT_AFTER_END = timedelta(days=30)


class ApiKeyState(StrEnum):
    """The state of an API key; only a good one lets its holder call."""

    GOOD = "good"
    EXPIRED = "expired"
    REVOKED = "revoked"


def api_key_state(*, expires_at: datetime | None, revoked_at: datetime | None, now: datetime) -> ApiKeyState:
    if revoked_at is not None:
        return ApiKeyState.REVOKED
    return ApiKeyState.EXPIRED if expires_at is not None and expires_at <= now else ApiKeyState.GOOD


def is_taken(wanted: str, taken: Collection[str]) -> bool:
    """Names that differ by capitals alone would be taken for each other."""
    return wanted.casefold() in {name.casefold() for name in taken}


def free_name(wanted: str, taken: Collection[str]) -> str:
    """``wanted``, or with the first number behind it that nobody has."""
    name, number = wanted, 2
    while is_taken(name, taken):
        name, number = f"{wanted}-{number}", number + 1
    return name
