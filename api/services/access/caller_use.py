"""The last use of each key and session: kept in memory, and written beside the requests, once a minute at most."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from gamekeeper.db.engine import Database
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.db.repositories.session import SessionRepository
from gamekeeper.domain.access.caller import Caller

SELDOM = timedelta(minutes=1)
_Used = tuple[str, bool]  # its id, and whether it is a session


class CallerUses:
    """``save`` is to be called every few seconds. What a process has not saved when it ends is lost."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = now
        self._used: dict[_Used, tuple[datetime, str]] = {}
        self._saved: dict[_Used, datetime] = {}

    def note(self, caller: Caller, address: str) -> None:
        used = caller.session_id or caller.key_id, bool(caller.session_id)
        self._used[used] = self._now(), address[:64]

    async def save(self) -> None:
        """Raises UnavailableError; nothing is lost then."""
        now = self._now()
        due = [used for used in self._used if self._saved.get(used, now - SELDOM) <= now - SELDOM]
        if not due:
            return
        async with self._database.write() as session:
            for used in sorted(due):  # other processes write in the same order
                uses = SessionRepository(session) if used[1] else KeyRepository(session)
                await uses.note_use(used[0], *self._used[used], now - SELDOM)
        for used in due:
            self._used.pop(used)
        self._saved = {used: at for used, at in self._saved.items() if at > now - SELDOM}
        self._saved |= dict.fromkeys(due, now)
