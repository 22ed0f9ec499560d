"""A control plane that tells secrets, refuses them, or is away."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.errors import SecretError, UnavailableError


class FakeSecrets:
    """``known`` are the secrets. ``asked`` has each question."""

    def __init__(self, **known: bytes) -> None:
        self.known = known
        self.is_away = False
        self.asked: list[tuple[ContainerKey, list[str]]] = []

    async def values(self, key: ContainerKey, names: Collection[str]) -> Mapping[str, bytes]:
        self.asked.append((key, sorted(names)))
        if self.is_away:
            raise UnavailableError("the node link is down")
        for name in names:
            if name not in self.known:
                raise SecretError(f'there is no secret "{name}"')
        return {name: self.known[name] for name in names}
