"""How workflows bring runs into being, and wait for their turn in a concurrency group."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.run.run import AcceptedRun, GroupPlace, GroupRequest, RunById, RunCall, RunInput
from gamekeeper.domain.run.schedule import ScheduledRun


class RunIntake(Protocol):
    """All are idempotent and short; what is refused stays refused: SpecError, NotFoundError or ConflictError."""

    async def accept_call(self, call: RunCall) -> AcceptedRun:
        """The run of a step that calls another pipeline: the same call gives the same run."""

    async def accept_scheduled(self, scheduled: ScheduledRun) -> AcceptedRun:
        """The run that a schedule starts: the same time of the same schedule gives the same run."""

    async def load(self, asked: RunById) -> RunInput:
        """An accepted run as it stands now. NotFoundError for one that is not there."""

    async def enter_group(self, request: GroupRequest) -> GroupPlace:
        """Takes a slot when there is one and nobody came before."""

    async def next_in_line(self, request: GroupRequest) -> list[str]:
        """The runs to wake when a slot is free."""
