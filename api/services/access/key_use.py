"""The last use of each API key: kept in memory, and written beside the requests, once a minute at most."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from gamekeeper.db.engine import Database
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.key import KeyRepository

SELDOM = timedelta(minutes=1)


class KeyUses:
    """``save`` is to be called every few seconds. What a process has not saved when it ends is lost."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = now
        self._used: dict[str, tuple[datetime, str]] = {}
        self._saved: dict[str, datetime] = {}

    def note(self, key_id: str, address: str) -> None:
        self._used[key_id] = self._now(), address[:64]

    async def save(self) -> None:
        """Raises UnavailableError; nothing is lost then."""
        now = self._now()
        due = [key_id for key_id in self._used if self._saved.get(key_id, now - SELDOM) <= now - SELDOM]
        if not due:
            return
        async with self._database.write() as session:
            for key_id in sorted(due):  # other processes write in the same order
                await KeyRepository(session).note_use(key_id, *self._used[key_id], now - SELDOM)
        for key_id in due:
            self._used.pop(key_id)
        self._saved = {key_id: at for key_id, at in self._saved.items() if at > now - SELDOM}
        self._saved |= dict.fromkeys(due, now)
