"""The callers that were seen lately: read from the database, and kept for a moment.

Several api processes share a database, so none of them may trust for long what it read: a revocation is felt by all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

from gamekeeper.db.engine import Database
from gamekeeper.db.models import ApiKeyRow, ApiKeySecretRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.domain.access.api_key import ApiKeyState, api_key_state
from gamekeeper.domain.access.caller import Caller, CallerKind
from gamekeeper.uncancelled import uncancelled

KNOWN_SECONDS = 3.0
KEPT_SECONDS = 60.0  # one that nobody asks for any more is forgotten then
MOST_AT_ONCE = 500  # in one query


class KnownCallers:
    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._clock = clock
        self._now = now
        self._known: dict[str, tuple[Caller, float]] = {}
        self._changed_at = -KNOWN_SECONDS
        self._all: tuple[float, asyncio.Future[frozenset[str]]] | None = None

    def has(self, key_hash: str) -> bool:
        """True for one that was good when it was looked at last."""
        return key_hash in self._known

    def forget(self) -> None:
        """The next questions go to the database: this process has just changed a key."""
        self._changed_at = self._clock()

    def is_good(self, key_hash: str) -> bool:
        """As far as is known."""
        return self._good(key_hash) is not None

    async def is_among_all(self, key_hash: str) -> bool:
        """True for one that was good some seconds ago. However many ask, all hashes are read once in that time.
        Raises UnavailableError."""
        asked_at, reading = self._all or (self._changed_at, None)
        if reading is None or self._clock() - asked_at >= KNOWN_SECONDS or asked_at <= self._changed_at:
            asked_at = self._clock()
            reading = asyncio.ensure_future(uncancelled(self._read_all()))
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._all = asked_at, reading
        return key_hash in await asyncio.shield(reading)

    def forget_unused(self, but: Collection[str]) -> None:
        """Forgets what nobody has asked for lately; those that calls go on by are kept while the database is away."""
        oldest = self._clock() - KEPT_SECONDS
        for key_hash in [key_hash for key_hash, (_, asked_at) in self._known.items() if asked_at <= oldest]:
            if key_hash not in but:
                del self._known[key_hash]

    async def find(self, key_hash: str) -> Caller | None:
        """None for a key that is not good. Raises UnavailableError when that can't be looked at."""
        await self.refresh([key_hash])
        return self._good(key_hash)

    async def refresh(self, key_hashes: Iterable[str]) -> None:
        """Reads again what was read too long ago. Raises UnavailableError."""
        old = sorted({key_hash for key_hash in key_hashes if self._is_old(key_hash)})
        if old:
            await uncancelled(self._read(old))

    def _good(self, key_hash: str) -> Caller | None:
        found, _ = self._known.get(key_hash, (None, 0.0))
        return found if found is not None and (found.until is None or self._now() < found.until) else None

    def _is_old(self, key_hash: str) -> bool:
        found, asked_at = self._known.get(key_hash, (None, 0.0))
        return found is None or self._clock() - asked_at >= KNOWN_SECONDS or asked_at <= self._changed_at

    async def _read(self, key_hashes: Sequence[str]) -> None:
        asked_at, found = self._clock(), dict[str, Caller]()
        async with self._database.read() as session:
            keys = KeyRepository(session)
            for at in range(0, len(key_hashes), MOST_AT_ONCE):
                rows = await keys.by_hashes(key_hashes[at : at + MOST_AT_ONCE])
                found |= {row[0].key_hash: _known(*row) for row in rows if is_good(*row, self._now())}
        for key_hash in key_hashes:
            if key_hash in found:
                self._known[key_hash] = found[key_hash], asked_at
            else:
                self._known.pop(key_hash, None)

    async def _read_all(self) -> frozenset[str]:
        async with self._database.read() as session:
            return frozenset(await KeyRepository(session).good_hashes(self._now()))


def _known(secret: ApiKeySecretRow, row: ApiKeyRow) -> Caller:
    ends = [end for end in (secret.good_until, row.expires_at) if end is not None]
    return Caller(CallerKind.KEY, row.id, row.name, row.role, secret.key_hash, min(ends, default=None))


def is_good(secret: ApiKeySecretRow, row: ApiKeyRow, now: datetime) -> bool:
    state = api_key_state(expires_at=row.expires_at, revoked_at=row.revoked_at, now=now)
    return state is ApiKeyState.GOOD and (secret.good_until is None or now < secret.good_until)
