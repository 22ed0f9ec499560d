"""Envelope encryption: each version of a secret has a data key of its own, and a master key wraps that.

Whoever holds the database alone has neither, and can't put one row in another's place: the name, the number and the
id of the secret are part of what is authenticated.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.errors import ConflictError
from gamekeeper.ports.master_keys import MasterKeys, WrappedKey

KEY_BYTES = 32
NONCE_BYTES = 12


@dataclass(frozen=True)
class Place:
    """The row that a value belongs to. ``secret_id`` differs for a secret that was removed and made again."""

    secret_id: str
    name: str
    number: int

    def context(self, purpose: str) -> bytes:
        parts = ["gamekeeper secret", purpose, self.secret_id, self.name, str(self.number)]
        return b"".join(b"%d:%b" % (len(part), part) for part in (text.encode() for text in parts))


@dataclass(frozen=True)
class Sealed:
    """A value as a row keeps it."""

    key: WrappedKey
    data: bytes


def encrypt(key: bytes, plain: bytes, context: bytes) -> bytes:
    """AES-256-GCM; the nonce stands before the ciphertext."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def decrypt(key: bytes, data: bytes, context: bytes) -> bytes:
    """Raises ConflictError for bytes that were changed, or that belong elsewhere."""
    try:
        return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:
        raise ConflictError("what is kept was changed, or belongs to something else", code="sealed") from error


async def seal(keys: MasterKeys, value: bytes, place: Place) -> Sealed:
    """Raises ConflictError where there is no master key."""
    data_key = AESGCM.generate_key(bit_length=KEY_BYTES * 8)
    wrapped = await keys.wrap(data_key, place.context("key"))
    return Sealed(wrapped, encrypt(data_key, value, place.context("value")))


async def unseal(keys: MasterKeys, sealed: Sealed, place: Place) -> SecretValue:
    """Raises ConflictError that says what to do for a value that can't be opened."""
    data_key = await keys.unwrap(sealed.key, place.context("key"))
    return SecretValue(decrypt(data_key, sealed.data, place.context("value")))


async def rewrap(keys: MasterKeys, wrapped: WrappedKey, place: Place) -> WrappedKey:
    """The same data key under the current master key. Raises ConflictError as ``unseal`` does."""
    data_key = await keys.unwrap(wrapped, place.context("key"))
    return await keys.wrap(data_key, place.context("key"))
