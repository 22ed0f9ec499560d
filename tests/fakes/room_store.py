"""RoomStore and RoomWaker in memory: a node has so many places, and each try that states something takes one."""

from __future__ import annotations

from collections.abc import Collection

from gamekeeper.domain.run.step_room import RoomAnswer, RoomRequest


class FakeRooms:
    """``free`` is the number of places; ``held`` are the tries that have one, and ``most`` the most at a time.
    ``never`` refuses all for good."""

    def __init__(self) -> None:
        self.free = 1000
        self.never = ""
        self.held: set[str] = set()
        self.most = 0
        self.requests: list[RoomRequest] = []
        self.woken: list[str] = []

    async def take(self, request: RoomRequest) -> list[RoomAnswer]:
        self.requests.append(request)
        self.release([str(each.key) for each in request.released])
        return [self._take(str(room.key)) for room in request.asked]

    def release(self, keys: Collection[str]) -> None:
        self.held -= set(keys)

    async def wake(self, nodes: Collection[str]) -> None:
        self.woken += sorted(nodes)

    def _take(self, key: str) -> RoomAnswer:
        if self.never:
            return RoomAnswer(why=self.never, never=True)
        if key not in self.held and len(self.held) >= self.free:
            return RoomAnswer(why=f"node n1: 0 of {self.free} places are free")
        self.held.add(key)
        self.most = max(self.most, len(self.held))
        return RoomAnswer()
