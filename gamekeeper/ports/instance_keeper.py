"""The keeper of a node's instances, as the node's activities see it."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.instance.order import InstanceOrder, InstanceOutcome
from gamekeeper.domain.instance.schedule import ConsoleLine


class InstanceKeeper(Protocol):
    async def carry_out(self, order: InstanceOrder) -> InstanceOutcome:
        """Takes the order, and blocks until the instance has settled by it.

        The order is on disk before anything is done, and is kept from then on, across a death of the agent. Idempotent
        by instance and serial: a repeated order waits for the same end. Raises PolicyError for one that is older than
        what the keeper has, and UnavailableError when the disk takes no write. A newer order ends the wait for an older
        one with the status so far. Cancelling the call ends the wait alone: the order stands.
        """
        ...

    async def type_in(self, line: ConsoleLine) -> None:
        """Types a line into the console of an instance that runs here. Blocks for some seconds at most.

        Idempotent by schedule and number: it is done at most once. Raises PolicyError for a number that is older than
        what was typed, ConflictError for one that was begun before, for an instance that takes no line now, and for a
        console that fails; NotFoundError for an instance that is not kept here. Only UnavailableError, before anything
        was typed, is worth another call. Cancelling the call may leave the line typed.
        """
        ...
