"""The room of nodes as the runs of pipelines ask for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from gamekeeper.domain.run.step_room import RoomAnswer, RoomRequest


class RoomStore(Protocol):
    async def take(self, request: RoomRequest) -> list[RoomAnswer]:
        """Gives back what is released and promises what is asked for, one answer each, in one short transaction.

        Idempotent: a try that has its room is granted it again. UnavailableError means that the database is away;
        a cancelled call has committed whole or not at all.
        """
        ...


class RoomWaker(Protocol):
    async def wake(self, nodes: Collection[str]) -> None:
        """Wakes some runs that wait for room on these nodes. It may miss some and raises nothing: each looks for itself
        too. Short and idempotent; a cancelled call has woken some or none."""
        ...
