"""The intake of runs as workflows use it: they bring runs into being and wait for a turn in a concurrency group."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.run.run import AcceptedRun, GroupPlace, GroupRequest, RunById, RunCall, RunInput
from gamekeeper.domain.run.schedule import ScheduledRun


class RunIntake(Protocol):
    """Every call is short: some queries and one transaction, which a cancelled call commits whole or not at all.

    A refusal is final: SpecError, NotFoundError or ConflictError. UnavailableError means that the database is away.
    """

    async def accept_call(self, call: RunCall) -> AcceptedRun:
        """Accepts the run of a step that calls another pipeline. Idempotent: the same call gives the same run."""

    async def accept_scheduled(self, scheduled: ScheduledRun) -> AcceptedRun:
        """Accepts the run that a schedule starts. Idempotent: the same time of the same schedule gives the same run."""

    async def load(self, asked: RunById) -> RunInput:
        """Reads an accepted run as it stands now. Raises NotFoundError for one that is not there. Idempotent."""

    async def enter_group(self, request: GroupRequest) -> GroupPlace:
        """Takes a slot when there is one and nobody came before; never waits for one. Idempotent."""

    async def next_in_line(self, request: GroupRequest) -> list[str]:
        """Lists the runs to wake when a slot is free. Idempotent: it changes nothing."""
