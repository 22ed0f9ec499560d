"""Cordons and drains: a node takes nothing new, and is disabled once its steps have ended.

A drain is a column of the node's row, so it goes on after a restart of this process. An operator who sets the mode in
the meantime ends it.
"""

from __future__ import annotations

from datetime import timedelta

from api.services.node.node import NodeChanged
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import NodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.node import NodeMode
from gamekeeper.supervised import Supervised


class DrainService:
    """``changed`` is told of a node whose mode changed, after it is in the database."""

    def __init__(self, database: Database, changed: NodeChanged) -> None:
        self._database = database
        self._changed = changed
        self.care = Supervised("drains")

    async def cordon(self, node_id: str) -> NodeRow:
        """Nothing new; what runs goes on. It ends a drain, and lets a disabled node's instances come back."""
        return await self._set_mode(node_id, NodeMode.MAINTENANCE)

    async def uncordon(self, node_id: str) -> NodeRow:
        return await self._set_mode(node_id, NodeMode.ACTIVE)

    async def drain(self, node_id: str, deadline: timedelta) -> NodeRow:
        """A second drain sets a new deadline. A disabled node is drained already."""
        async with self._database.write() as session:
            row = await NodeRepository(session).get(node_id)
            before = row.mode
            if before != NodeMode.DISABLED.value:
                row.drain_until = utc_now() + deadline
                _change(row, NodeMode.MAINTENANCE)
                message = (
                    f"mode {before} -> {row.mode}; disabled at {row.drain_until:%Y-%m-%d %H:%M:%S} UTC at the latest"
                )
                record(session, Event(kind=EventKind.NODE_DRAINING, node=node_id, message=message))
        if row.mode != before:
            await self._changed(node_id)
        return row

    async def look(self) -> None:
        """Disables each draining node on which nothing works any more, or whose deadline is over."""
        async with self._database.read() as session:
            draining = await NodeRepository(session).draining()
        for node_id in draining:
            with self.care.row(f"node {node_id}"):
                if await self._finish(node_id):
                    await self._changed(node_id)

    async def _finish(self, node_id: str) -> bool:
        async with self._database.write() as session:
            nodes = NodeRepository(session)
            row = await nodes.find(node_id)
            if row is None or row.drain_until is None:
                return False
            works, is_over = await nodes.works(node_id), row.drain_until <= utc_now()
            if works and not is_over:
                return False
            row.drain_until = None
            _change(row, NodeMode.DISABLED)
            reason = "deadline" if works else "empty"
            message = f"its deadline is over; stopped: {', '.join(works[:5])}" if works else "no step runs any more"
            record(session, Event(kind=EventKind.NODE_DRAINED, node=node_id, reason=reason, message=message))
        return True

    async def _set_mode(self, node_id: str, mode: NodeMode) -> NodeRow:
        async with self._database.write() as session:
            row = await NodeRepository(session).get(node_id)
            before, was_draining = row.mode, row.drain_until is not None
            if before != mode.value or was_draining:
                row.drain_until = None
                _change(row, mode)
                message = f"mode {before} -> {mode.value}" + ("; the drain ends" if was_draining else "")
                data = {"mode": [before, mode.value]}
                record(session, Event(kind=EventKind.NODE_EDITED, node=node_id, message=message, data=data))
        if before != mode.value:
            await self._changed(node_id)
        return row


def _change(row: NodeRow, mode: NodeMode) -> None:
    row.mode = mode.value
    row.version += 1
    row.updated_at = utc_now()
