"""The rooms of nodes, for those who look at them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.placement.candidates import capacity_of_row, policy_of_row
from gamekeeper.db.models import NodeRow
from gamekeeper.db.repositories.reservation import ReservationRepository
from gamekeeper.domain.node.capacity import Capacity
from gamekeeper.domain.node.placement import Use
from gamekeeper.domain.node.room import Room, room_of


async def rooms_of(session: AsyncSession, rows: Sequence[NodeRow]) -> dict[str, Room]:
    """By the node's id. What a newer version wrote counts as not known."""
    reservations = ReservationRepository(session)
    used = await reservations.used(node_id=rows[0].id if len(rows) == 1 else None)
    ports = await reservations.port_counts([row.id for row in rows])
    return {row.id: room_of(_capacity(row), used.get(row.id, Use()), ports.get(row.id, 0)) for row in rows}


def _capacity(row: NodeRow) -> Capacity:
    try:
        return capacity_of_row(row, policy_of_row(row))
    except ValidationError:
        return Capacity()
