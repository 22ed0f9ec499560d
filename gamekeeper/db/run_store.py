"""The read model behind the control-plane activities."""

from __future__ import annotations

from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.node import NodeRepository, node_view
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.run import RunSnapshot


class SqlRunStore:
    """RunStore on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write_snapshot(self, snapshot: RunSnapshot) -> None:
        async with self._database.write() as session:
            await RunRepository(session).apply(snapshot)

    async def find_node(self, node_id: str) -> NodeView:
        async with self._database.read() as session:
            row = await NodeRepository(session).find(node_id)
            return node_view(row) if row else NodeView.removed(node_id)
