"""Instances as the steps of runs ask for them: one is made where it is missing, and each change is waited for."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.instance.control import ActionEnd
from gamekeeper.domain.instance.ensure import EnsureInstance


class InstanceEnsurer(Protocol):
    async def accept(self, asked: EnsureInstance) -> None:
        """Makes the instance where there is none, in one short transaction. Idempotent by the try that asks.

        A refusal is final: InvalidError, NotFoundError or ConflictError, as for an instance of another pipeline.
        UnavailableError means that the database is away.
        """
        ...

    async def change(self, asked: EnsureInstance) -> ActionEnd:
        """Has the revision made, or the new instance, and blocks until it is ready or has failed.

        Idempotent by the try that asks: its change is waited for again. Raises ConflictError while another action goes
        on, which is to be tried again, and InvalidError for a change that is refused for good. Cancelling the call
        ends the wait alone: the order stands.
        """
        ...

    async def started(self, asked: EnsureInstance) -> ActionEnd | None:
        """The revision of this try as its process runs; None before that. Short and idempotent: it changes nothing."""
        ...

    async def seen(self, instance: str) -> str:
        """Tells the newest state of an instance in words. Short and idempotent: it changes nothing."""
        ...
