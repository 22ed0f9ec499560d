"""The values of secrets, as a node's containers get them. They come just in time, and nothing keeps them on a disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.errors import SecretError


class SecretSource(Protocol):
    async def values(self, key: ContainerKey, names: Collection[str]) -> Mapping[str, bytes]:
        """The newest values of secrets that the container ``key`` names, all or none. Short. Idempotent. A cancelled
        call has given nothing.

        Raises SecretError, which names the secret, for one that this container can't have, and UnavailableError while
        the control plane is away or does not know yet that the container is to be made.
        """
        ...


class NoSecrets:
    """The source of a node that is given none."""

    async def values(self, key: ContainerKey, names: Collection[str]) -> Mapping[str, bytes]:
        raise SecretError(f"this node is given no secrets, so {key} can't have {', '.join(sorted(names))}")
