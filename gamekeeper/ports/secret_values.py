"""The values of secrets, for those who bring them to a step or to an instance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from gamekeeper.domain.secret.use import SecretUse
from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.errors import GamekeeperError


class SecretValues(Protocol):
    async def values(self, names: Collection[str], use: SecretUse) -> dict[str, SecretValue]:
        """The values by their names, all or none, and notes the use. Idempotent but for the note. It waits for another
        store some seconds at most; a cancelled call has given nothing.

        Raises NotFoundError and ForbiddenError that name the secret, ConflictError for one that can't be opened, and
        UnavailableError while the database or the other store is away.
        """
        ...

    async def troubles(self, names: Collection[str], use: SecretUse) -> Mapping[str, GamekeeperError]:
        """The secrets that this user could not have, each with the error that ``values`` would raise. Where the use has
        no node yet, the node is not looked at. No value is read. Idempotent, short; for the check of a submission."""
        ...
