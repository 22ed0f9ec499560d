"""The log of a step that ensured an instance is that of the revision which it made."""

from __future__ import annotations

from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.instance.ensure import by_try

MAX_KNOWN = 10_000


class KeptLogs:
    """A revision never changes its maker, so what was found once is kept."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[StepKey, InstanceKey] = {}

    async def key_of(self, key: StepKey) -> ContainerKey:
        """The owner of the container that the try brought up: the try itself, unless it made a revision."""
        if key not in self._known:
            async with self._database.read() as session:
                found = await InstanceRepository(session).made_by(by_try(key), key.run_id)
            if found is None:
                return key
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = InstanceKey(instance=found.instance_id, revision=found.revision)
        return self._known[key]
