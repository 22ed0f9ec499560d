"""Options of ceremonies as browsers read them: ``PublicKeyCredential.parseCreationOptionsFromJSON`` and
``parseRequestOptionsFromJSON``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.services.access.ceremonies import Begun, to_base64url
from gamekeeper.db.models import PasskeyRow, UserRow
from gamekeeper.domain.access.passkey import CEREMONY_LIFETIME

SHOWN_AS = "Gamekeeper"
ALGORITHMS = (-7, -8, -257)  # ECDSA on P-256, Ed25519, and RSA for Windows Hello; the first that an authenticator has
_TIMEOUT = int(CEREMONY_LIFETIME.total_seconds() * 1000)


def creation_options(begun: Begun, user: UserRow, known: Sequence[PasskeyRow]) -> dict[str, Any]:
    """A new passkey, which knows its user by itself and asks who it is. The user's id is random, and tells nothing."""
    return {
        "rp": {"id": begun.rp.id, "name": SHOWN_AS},
        "user": {
            "id": to_base64url(user.id.encode()),
            "name": user.name,
            "displayName": user.display_name or user.name,
        },
        "challenge": to_base64url(begun.challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS],
        "timeout": _TIMEOUT,
        "excludeCredentials": _named(known),
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def request_options(begun: Begun, known: Sequence[PasskeyRow] = ()) -> dict[str, Any]:
    """The use of a passkey: of one that is known, or of any where none is named."""
    return {
        "challenge": to_base64url(begun.challenge),
        "timeout": _TIMEOUT,
        "rpId": begun.rp.id,
        "allowCredentials": _named(known),
        "userVerification": "required",
    }


def _named(known: Sequence[PasskeyRow]) -> list[dict[str, str]]:
    return [{"type": "public-key", "id": row.credential_id} for row in known]
