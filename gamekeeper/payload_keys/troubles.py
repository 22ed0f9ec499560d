"""Payloads that a process could not read: kept in memory, and written for people from time to time.

A workflow whose input can't be decrypted is tried again for ever, and its worker's log is read by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from gamekeeper.domain.access.payload_trouble import PayloadTrouble
from gamekeeper.ports.payload_trouble_log import PayloadTroubleLog

MAX_STANDING = 1000


class PayloadTroubles:
    """Of one process. A subject is in no trouble any more when something of it was read with that key."""

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], PayloadTrouble] = {}
        self._noted: dict[tuple[str, str], PayloadTrouble] = {}
        self._over: dict[tuple[str, str], None] = {}

    def note(self, trouble: PayloadTrouble) -> None:
        """Of too many the first ones stand: they say the same."""
        place = (trouble.subject, trouble.key_id)
        if place not in self._standing and len(self._standing) >= MAX_STANDING:
            return
        self._standing[place] = self._noted[place] = trouble
        self._over.pop(place, None)

    def over(self, subject: str, key_id: str) -> None:
        place = (subject, key_id)
        if self._standing and self._standing.pop(place, None) is not None:
            self._noted.pop(place, None)
            self._over[place] = None

    def take(self) -> tuple[Sequence[PayloadTrouble], Sequence[tuple[str, str]]]:
        """All that was noted and is over since the last call."""
        noted, over = list(self._noted.values()), list(self._over)
        self._noted, self._over = {}, {}
        return noted, over

    async def tell(self, log: PayloadTroubleLog, reader: str) -> None:
        """Writes what is new. What can't be written now is written the next time. Raises UnavailableError."""
        noted, over = self.take()
        if not noted and not over:
            return
        try:
            await log.write(reader, noted, over)
        except BaseException:
            self.give_back(noted, over)
            raise

    def give_back(self, noted: Sequence[PayloadTrouble], over: Sequence[tuple[str, str]]) -> None:
        """Keeps for the next time what could not be written; newer words stand."""
        for trouble in noted:
            if (trouble.subject, trouble.key_id) in self._standing:
                self._noted.setdefault((trouble.subject, trouble.key_id), trouble)
        for place in over:
            if place not in self._standing:
                self._over[place] = None
