"""Phases of steps that nodes tell between the states that the workflow owns."""

from __future__ import annotations

from api.services.node.container_owner import ContainerOwners
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.event.event import NodeTime
from gamekeeper.domain.run.step import StepState


class StepPhaseService:
    def __init__(self, database: Database, owners: ContainerOwners) -> None:
        self._database = database
        self._owners = owners

    async def observe(
        self, node_id: str, key: StepKey, phase: StepState, message: str, container_id: str, told: NodeTime
    ) -> None:
        """Keeps the newest phase. One of a step that is not this node's, or is unknown, changes nothing.

        ``told`` is when, by the node's own clock.
        """
        if await self._owners.refusals(node_id, [key]):
            return
        async with self._database.write() as session:
            await RunRepository(session).observe(key, phase, message, container_id, told)
