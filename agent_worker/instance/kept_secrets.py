"""The values of the secrets of instances. They are asked for at each start; while the control plane is away, those of
before count, which this process has in memory (decision 24)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.errors import SecretError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.secret_source import SecretSource

log = get_logger(__name__)


class SecretsAwayError(UnavailableError):
    """Nobody can tell the values now. It may pass."""

    def __init__(self, names: Sequence[str]) -> None:
        words = (
            f"it waits for its secrets ({', '.join(names)}), which only the control plane can tell, and that is away"
        )
        super().__init__(words, hint="it starts by itself when the control plane is back")


class KeptSecrets:
    """Values by the instance and the revision that name them. They are in memory alone."""

    def __init__(self, source: SecretSource) -> None:
        self._source = source
        self._known: dict[InstanceKey, dict[str, bytes]] = {}

    async def newest(self, key: InstanceKey, names: Sequence[str]) -> Mapping[str, bytes]:
        """The newest values, or while the control plane is away those of before. Raises SecretError, and
        SecretsAwayError where none are known."""
        found = await self.newest_or_none(key, names)
        if found is None:
            raise SecretsAwayError(sorted(names))
        return found

    async def newest_or_none(self, key: InstanceKey, names: Collection[str]) -> Mapping[str, bytes] | None:
        """The same, None where none are known. Raises SecretError."""
        if not names:
            return {}
        known = self._known.get(key, {})
        try:
            found = await self._source.values(key, names)
        except SecretError:
            self._known.pop(key, None)  # it was taken away
            raise
        except UnavailableError as error:
            if not set(names) <= known.keys():
                return None
            log.warning("instance %s goes on with the secrets of before: %s", key.instance, error)
            return {name: known[name] for name in names}
        self._known[key] = {**known, **found}
        return found

    def forget(self, instance: str) -> None:
        """The instance is gone."""
        self._known = {key: values for key, values in self._known.items() if key.instance != instance}
