"""The place where processes write down what they could not read, for the api to tell people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gamekeeper.domain.access.payload_trouble import PayloadTrouble


class PayloadTroubleLog(Protocol):
    async def write(self, reader: str, noted: Sequence[PayloadTrouble], over: Sequence[tuple[str, str]]) -> None:
        """Notes troubles of a process, each with its newest time, and takes away those that are over, by subject and
        key. Idempotent. Raises UnavailableError while the database does not answer."""
        ...
