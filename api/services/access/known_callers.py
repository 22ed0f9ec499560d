"""The callers that were seen lately: read from the database, and kept for a moment.

Several api processes share a database, so none of them may trust for long what it read: a revocation is felt by all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

from gamekeeper.db.engine import Database
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.credential import CredentialRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.user import SessionTerms
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
        terms: SessionTerms | None = None,
    ) -> None:
        self._database = database
        self._terms = terms or SessionTerms()
        self._clock = clock
        self._now = now
        self._known: dict[str, tuple[Caller, float]] = {}
        self._changed_at = -KNOWN_SECONDS
        self._all: tuple[float, asyncio.Future[frozenset[str]]] | None = None

    def has(self, secret_hash: str) -> bool:
        """True for one that was good when it was looked at last."""
        return secret_hash in self._known

    def forget(self) -> None:
        """The next questions go to the database: this process has just changed a key, a session or a user."""
        self._changed_at = self._clock()

    def seen(self, secret_hash: str) -> Caller | None:
        """As far as is known; None for a secret that is not good."""
        return self._good(secret_hash)

    async def is_among_all(self, secret_hash: str) -> bool:
        """True for one that was good some seconds ago. However many ask, all hashes are read once in that time.
        Raises UnavailableError."""
        asked_at, reading = self._all or (self._changed_at, None)
        if reading is None or self._clock() - asked_at >= KNOWN_SECONDS or asked_at <= self._changed_at:
            asked_at = self._clock()
            reading = asyncio.ensure_future(uncancelled(self._read_all()))
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._all = asked_at, reading
        return secret_hash in await asyncio.shield(reading)

    def forget_unused(self, but: Collection[str]) -> None:
        """Forgets what nobody has asked for lately; those that calls go on by are kept while the database is away."""
        oldest = self._clock() - KEPT_SECONDS
        for secret_hash in [secret_hash for secret_hash, (_, asked_at) in self._known.items() if asked_at <= oldest]:
            if secret_hash not in but:
                del self._known[secret_hash]

    async def find(self, secret_hash: str) -> Caller | None:
        """None for a key that is not good. Raises UnavailableError when that can't be looked at."""
        await self.refresh([secret_hash])
        return self._good(secret_hash)

    async def refresh(self, secret_hashes: Iterable[str]) -> None:
        """Reads again what was read too long ago. Raises UnavailableError."""
        old = sorted({secret_hash for secret_hash in secret_hashes if self._is_old(secret_hash)})
        if old:
            await uncancelled(self._read(old))

    def _good(self, secret_hash: str) -> Caller | None:
        found, _ = self._known.get(secret_hash, (None, 0.0))
        now = self._now()
        return found.at(now) if found is not None and (found.until is None or now < found.until) else None

    def _is_old(self, secret_hash: str) -> bool:
        found, asked_at = self._known.get(secret_hash, (None, 0.0))
        return found is None or self._clock() - asked_at >= KNOWN_SECONDS or asked_at <= self._changed_at

    async def _read(self, secret_hashes: Sequence[str]) -> None:
        asked_at, found = self._clock(), dict[str, Caller]()
        async with self._database.read() as session:
            credentials = CredentialRepository(session, self._terms)
            for at in range(0, len(secret_hashes), MOST_AT_ONCE):
                found |= await credentials.callers(secret_hashes[at : at + MOST_AT_ONCE], self._now())
        for secret_hash in secret_hashes:
            if secret_hash in found:
                self._known[secret_hash] = found[secret_hash], asked_at
            else:
                self._known.pop(secret_hash, None)

    async def _read_all(self) -> frozenset[str]:
        async with self._database.read() as session:
            return await CredentialRepository(session, self._terms).good_hashes(self._now())
