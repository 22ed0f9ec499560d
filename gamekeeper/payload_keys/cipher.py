"""AES-256-GCM, as the payloads of Temporal's histories use it.

The nonce is by chance: with 2**32 texts of one key the odds of two alike are still below one in four thousand million,
and the documentation says to rotate long before.
"""

from __future__ import annotations

from gamekeeper.errors import ConflictError
from gamekeeper.sealing.envelope import NONCE_BYTES, decrypt, encrypt

TAG_BYTES = 16
OVERHEAD = NONCE_BYTES + TAG_BYTES


class AlteredError(ConflictError):
    """The bytes are not what this key wrote for this place."""


def seal(secret: bytes, text: bytes, bound_to: bytes) -> bytes:
    """``bound_to`` is not in what comes out, and has to be the same to open it."""
    return encrypt(secret, text, bound_to)


def opened(secret: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """Raises AlteredError."""
    try:
        return decrypt(secret, sealed, bound_to)
    except ConflictError:
        raise AlteredError(
            "an encrypted payload does not fit its key: it was altered, or is another key's, or another node's"
        ) from None
