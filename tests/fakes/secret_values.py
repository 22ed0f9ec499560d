"""Secrets with scopes that are lists of pipelines, and no store behind them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gamekeeper.domain.secret.use import SecretUse
from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.errors import ForbiddenError, GamekeeperError, NotFoundError


class FakeSecretValues:
    """``known`` has the values, ``forbidden`` the names that nobody may have. ``uses`` are those that got something."""

    def __init__(self, **known: bytes) -> None:
        self.known = known
        self.forbidden: set[str] = set()
        self.uses: list[SecretUse] = []

    async def values(self, names: Collection[str], use: SecretUse) -> dict[str, SecretValue]:
        for trouble in (await self.troubles(names, use)).values():
            raise trouble
        self.uses.append(use)
        return {name: SecretValue(self.known[name]) for name in names}

    async def troubles(self, names: Collection[str], use: SecretUse) -> Mapping[str, GamekeeperError]:
        found: dict[str, GamekeeperError] = {}
        for name in names:
            if name not in self.known:
                found[name] = NotFoundError(f'there is no secret "{name}"')
            elif name in self.forbidden:
                found[name] = ForbiddenError(f'the secret "{name}" may not be had by {use}')
        return found
