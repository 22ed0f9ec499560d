"""The ways in that this server opens now: a passkey of another host name and an identity of another provider let nobody
in, however many a user has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WaysIn:
    """``rp_id`` is the host name of passkeys, and ``issuer`` the OpenID provider; empty where there is none."""

    rp_id: str = ""
    issuer: str = ""
