"""Stores of others that keep the values of secrets: one that speaks Vault's API, or a folder of files."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.secret.reference import Reference
from gamekeeper.domain.secret.value import SecretValue


class OutsideStore(Protocol):
    async def read(self, reference: Reference) -> SecretValue:
        """The value that the reference names. Idempotent; it may be some seconds old. It waits some seconds at most,
        and a cancelled call has read nothing or all.

        Raises NotFoundError, ForbiddenError, ConflictError for what is no value, and UnavailableError.
        """
        ...
