"""The keys that wrap the data keys of secrets: a file of our own, or a service that gives no key away (a KMS)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class WrappedKey:
    """A data key as a row keeps it. ``key_id`` names the master key that opens it."""

    key_id: str
    data: bytes


class MasterKeys(Protocol):
    async def current(self) -> str:
        """The id of the key that wraps from now on. Idempotent; short. Raises ConflictError that says what to do where
        there is none, or none that can be read."""
        ...

    async def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        """Wraps by the current key; only the same ``context`` opens it again. Not idempotent: each answer differs.
        Short for a file, a call for a KMS; a cancelled call has changed nothing. Raises as ``current`` does."""
        ...

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        """Idempotent; as short as ``wrap``. Raises ConflictError that says what to do for a key that is not there, and
        for what was not wrapped by it with this context."""
        ...

    async def check(self, needed: Collection[str]) -> None:
        """Raises ConflictError that says what to do where one of them is missing. Idempotent; as short as ``wrap``."""
        ...

    async def ensure(self, needed: Collection[str]) -> None:
        """Makes the first key where there is none and no row needs one. Idempotent, also among several processes.
        Raises ConflictError where rows need keys and there is none, and UnavailableError on a full disk."""
        ...

    async def rotate(self) -> str:
        """Adds a key, which is the current one from then on, and gives its id. Not idempotent. A cancelled call has
        added it or not. Raises ConflictError for too many keys, and UnavailableError on a full disk."""
        ...

    async def keep_only(self, needed: Collection[str]) -> list[str]:
        """Forgets all keys but the current one and those that are needed, and tells which. Idempotent. Raises
        UnavailableError on a full disk."""
        ...
