"""A change of keys, users or sessions, which looks anew at the caller who asks for it: one that was ended, which other
processes know for some seconds more, changes nothing meanwhile. Such changes take turns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.engine import Database
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.credential import CredentialRepository
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.user import SessionTerms
from gamekeeper.domain.access.ways_in import WaysIn
from gamekeeper.errors import UnauthenticatedError


class Changes:
    """``changed`` is called after each change; ``ways`` are those that this server opens."""

    def __init__(
        self,
        database: Database,
        changed: Callable[[], None],
        terms: SessionTerms | None = None,
        ways: WaysIn | None = None,
    ) -> None:
        self.ways = ways or WaysIn()
        self._database = database
        self._changed = changed
        self._terms = terms or SessionTerms()

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        return self._database.read()

    @asynccontextmanager
    async def by(self, caller: Caller) -> AsyncIterator[AsyncSession]:
        """Raises UnauthenticatedError for one whose credential is void, or may do something else by now."""
        async with self.anybody() as session:
            found = await CredentialRepository(session, self._terms).caller(caller.secret_hash, utc_now())
            if found is None or found.role != caller.role:
                raise UnauthenticatedError(f"{caller.words} was revoked or ran out")
            yield session

    @asynccontextmanager
    async def anybody(self) -> AsyncIterator[AsyncSession]:
        """For what nobody has to be signed in for."""
        try:
            async with self._database.write() as session:
                await KeyRepository(session).lock()
                yield session
        finally:
            self._changed()
