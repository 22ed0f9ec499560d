"""Hashes of passwords (argon2id), which are slow on purpose, and passwords that are made here.

A hash takes about a tenth of a second and 64 MiB: whoever serves many has to bound how many are made at once.
"""

from __future__ import annotations

import secrets
from functools import cache
from typing import TYPE_CHECKING

from gamekeeper.domain.access.password import kept_password

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none of them is taken for another one
_GROUPS, _OF_GROUP = 4, 5  # 100 bits


def make_password() -> str:
    """One that is read from a screen and typed once: ``abcde-fghij-kmnpq-rstuv``."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_OF_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def hash_password(password: str) -> str:
    return _hasher().hash(kept_password(password))


def is_password(password: str, password_hash: str) -> bool:
    """False for a wrong one. It takes the same time for an empty hash, which no password has."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _hasher().verify(password_hash or _nobodys(), kept_password(password)) and bool(password_hash)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(password_hash: str) -> bool:
    """True for a hash that costs less than those of now."""
    return _hasher().check_needs_rehash(password_hash)


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # few commands need it

    return PasswordHasher()


@cache
def _nobodys() -> str:
    """Made at the first wrong name; ``warm`` makes it before."""
    return _hasher().hash(secrets.token_urlsafe(32))


def warm() -> None:
    """Makes what the first sign-in would wait for, so that a first unknown name takes no longer than others."""
    _nobodys()
