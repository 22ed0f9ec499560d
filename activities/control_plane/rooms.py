"""Promises the tries of a run their room, for the workflow that starts them."""

from __future__ import annotations

from temporalio import activity

from gamekeeper.domain.run.step_room import RoomAnswer, RoomRequest
from gamekeeper.ports.room_store import RoomStore


class RoomActivities:
    def __init__(self, rooms: RoomStore) -> None:
        self._rooms = rooms

    @activity.defn(name="run.take_rooms")
    async def take(self, request: RoomRequest) -> list[RoomAnswer]:
        """Tries again until the database answers."""
        return await self._rooms.take(request)
