"""The firings of instances' schedules, as their workflow sees them."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.instance.schedule import Fired, Firing, FiringEnd


class InstanceSchedules(Protocol):
    """Every call is short. UnavailableError means that the database or Temporal is away: it may be made again."""

    async def begin(self, firing: Firing) -> Fired:
        """Decides on a firing and begins its power action, or gives the line that is to be typed.

        Idempotent by token: the action is asked for once. One that can't be begun in time is missed, and says so in the
        read model. Never raises for what a user can see there.
        """
        ...

    async def end(self, ended: FiringEnd) -> None:
        """Notes the end of a firing whose line was to be typed. Idempotent by token."""
        ...
