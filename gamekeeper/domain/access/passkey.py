"""Passkeys: keys that a device or a key ring keeps for a user, who signs in by it instead of a password and a code."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from gamekeeper.domain.access.user_name import name_key

MAX_PASSKEYS = 20  # of one user
MAX_PASSKEY_NAME = 100
CEREMONY_LIFETIME = timedelta(minutes=5)  # what browsers give a user at most


class Ceremony(StrEnum):
    """The uses of a challenge. One that was given for one of them is none for another."""

    ADD = "add"
    SIGN_IN = "sign in"
    PROVE = "prove"


@dataclass(frozen=True)
class RelyingParty:
    """The names by which browsers know this server: passkeys belong to ``id``, a host name, and are used on pages of
    ``origins`` alone."""

    id: str
    origins: tuple[str, ...]


def ceremony_context(ceremony: Ceremony, bound_to: str) -> bytes:
    """The words under which a challenge is sealed: elsewhere it opens nothing."""
    digest = hashlib.sha256(bound_to.encode(errors="surrogatepass")).hexdigest()
    return f"gamekeeper passkey {ceremony.value} {digest}".encode()


def typed_name(text: str) -> str:
    """A name of a user as a sealed challenge holds it, of one length for all; empty where none was typed."""
    return hashlib.sha256(name_key(text).encode(errors="surrogatepass")).hexdigest() if text else ""


def passkey_name(text: str) -> str:
    """A name that a user gives a passkey. Raises ValueError."""
    name = text.strip()
    if not 0 < len(name) <= MAX_PASSKEY_NAME or not name.isprintable():
        raise ValueError(f"a passkey's name has 1 to {MAX_PASSKEY_NAME} characters, all of which can be shown")
    return name
