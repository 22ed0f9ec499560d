"""Phases of steps that nodes tell between the states that the workflow owns."""

from __future__ import annotations

from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.event.event import NodeTime
from gamekeeper.domain.run.step import StepKey, StepState
from gamekeeper.errors import InvalidError, NotFoundError


class StepPhaseService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def observe(
        self, node_id: str, key: StepKey, phase: StepState, message: str, container_id: str, told: NodeTime
    ) -> None:
        """Keeps the newest phase. One of a step that is not this node's, or is unknown, changes nothing.

        ``told`` is when, by the node's own clock.
        """
        try:
            await self.check_owner(node_id, key)
        except (InvalidError, NotFoundError):
            return
        async with self._database.write() as session:
            await RunRepository(session).observe(key, phase, message, container_id, told)

    async def check_owner(self, node_id: str, key: StepKey) -> None:
        """Raises InvalidError when the step runs on another node, NotFoundError when there is none."""
        async with self._database.read() as session:
            row = await RunRepository(session).get_step(key.run_id, key.step)
        if row.node_id != node_id:
            raise InvalidError(f"step {key.step} of run {key.run_id} is not on node {node_id}")
