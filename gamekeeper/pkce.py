"""Proof of possession for codes that travel through a browser (RFC 7636): who holds the verifier began the sign-in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

CHALLENGE_LENGTH = 43  # of a SHA-256 as base64url
CHALLENGE_PATTERN = rf"^[A-Za-z0-9_-]{{{CHALLENGE_LENGTH}}}$"


def new_verifier() -> str:
    return secrets.token_urlsafe(32)


def challenge_of(verifier: str) -> str:
    """By the method S256."""
    return _text(hashlib.sha256(verifier.encode()).digest())


def is_verifier(verifier: str, challenge: str) -> bool:
    return hmac.compare_digest(challenge_of(verifier).encode(), challenge.encode())


def derived(secret: str, purpose: str) -> str:
    """256 bits that nobody knows without the secret."""
    return _text(hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).digest())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
