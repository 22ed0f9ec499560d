"""Inventories that nodes report of their machines; the newest report stands, and a change is an event."""

from __future__ import annotations

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node import capacity
from gamekeeper.domain.node.inventory import Inventory
from gamekeeper.domain.node.policy import NodePolicy


class InventoryService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, node_id: str, inventory: Inventory, policy: NodePolicy | None = None) -> list[str]:
        """Keeps it, with the policy where it is told; the names of what differs from the report before. The first one
        changes nothing."""
        told, allowed = inventory.model_dump(mode="json"), policy.model_dump() if policy else None
        async with self._database.read() as session:
            row = await NodeRepository(session).get(node_id)
            if row.inventory == told and allowed in (None, row.policy):
                return []  # the most frequent case by far, and it takes no turn at writing
        async with self._database.write() as session:
            row = await NodeRepository(session).get(node_id)
            before = Inventory.model_validate(row.inventory) if row.inventory else None
            changed = inventory.changed_from(before) if before else []
            if before is None or changed:
                row.inventory = told
                row.capacity = capacity.of_inventory(inventory)
            if allowed not in (None, row.policy):
                changed.append("policy")
                row.policy = allowed
            if changed:
                event = Event(kind=EventKind.NODE_INVENTORY_CHANGED, node=node_id, message=", ".join(changed))
                record(session, event)
        return changed
