"""Inventories that nodes report of their machines; the newest report stands, and a change is an event."""

from __future__ import annotations

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node import capacity
from gamekeeper.domain.node.inventory import Inventory


class InventoryService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, node_id: str, inventory: Inventory) -> list[str]:
        """Keeps it; the names of the fields that differ from the report before. The first one changes nothing."""
        async with self._database.read() as session:
            if (await NodeRepository(session).get(node_id)).inventory == inventory.model_dump(mode="json"):
                return []  # the most frequent case by far, and it takes no turn at writing
        async with self._database.write() as session:
            row = await NodeRepository(session).get(node_id)
            before = Inventory.model_validate(row.inventory) if row.inventory else None
            changed = inventory.changed_from(before) if before else []
            if before is None or changed:
                row.inventory = inventory.model_dump(mode="json")
                row.capacity = capacity.of_inventory(inventory)
            if changed:
                event = Event(kind=EventKind.NODE_INVENTORY_CHANGED, node=node_id, message=", ".join(changed))
                record(session, event)
        return changed
