"""Sessions: begun when a user signs in, listed, and ended. A session's token is shown once, when it begins.

Every way to sign in begins one by ``begin_session``, or by ``begin`` within a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import SessionRow, UserRow
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.db.repositories.oidc_attempt import OidcAttemptRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.session import SessionRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.user import SessionHow, SessionState, SessionTerms, UserState
from gamekeeper.domain.access.verb import Verb
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ForbiddenError, NotFoundError
from gamekeeper.keys import SESSION_PREFIX, hash_key, new_key

MAX_OPEN = 100  # of one user; the oldest makes room
KEPT_AFTER_END = timedelta(days=30)  # and with it the addresses from which a user is known


@dataclass(frozen=True)
class Whence:
    """From where somebody signs in. ``token`` is that of the session that the new one takes the place of."""

    address: str
    agent: str = ""
    token: str = ""


@dataclass(frozen=True)
class Begun:
    user: UserRow
    session: SessionRow
    token: str


class SessionService:
    def __init__(self, database: Database, changes: Changes, terms: SessionTerms) -> None:
        self._database = database
        self._changes = changes
        self.terms = terms
        self.odd_rows = database.odd_rows

    async def begin_session(self, user_id: str, how: str, whence: Whence) -> Begun:
        """A session of a user whom somebody has recognised. Raises NotFoundError, and ForbiddenError for a user that is
        disabled."""
        async with self._changes.anybody() as session:
            return await self.begin(session, await UserRepository(session).locked(user_id), how, whence)

    async def begin(self, session: AsyncSession, user: UserRow, how: str, whence: Whence) -> Begun:
        """The same within a transaction, which holds the user."""
        if user.state != UserState.ACTIVE:
            raise ForbiddenError(f'the user "{user.name}" is disabled', hint="an admin can enable it")
        sessions, token, now = SessionRepository(session), new_key(SESSION_PREFIX), utc_now()
        if whence.token and (before := await sessions.find_by_hash(hash_key(whence.token))) is not None:
            await sessions.end([before.id], now, f"user:{user.name}")
        if len(still_open := await sessions.open_of(user.id)) >= MAX_OPEN:
            await sessions.end([row.id for row in still_open[: len(still_open) - MAX_OPEN + 1]], now, "system")
        row = SessionRow(
            user_id=user.id,
            token_hash=hash_key(token),
            how=how,
            address=whence.address[:64],
            last_used_from=whence.address[:64],
            agent=storable(whence.agent)[:200],
        )
        sessions.add(row)
        user.last_sign_in_at, user.last_sign_in_from = now, whence.address[:64]
        about = {"user": user.id, "session": row.id, "how": how, "address": row.address, "agent": row.agent}
        begun = Event(kind=EventKind.SESSION_BEGUN, message=user.name, data=about)
        actor = {"actor": f"user:{user.name}", "actor_id": user.id, "address": row.address}
        record(session, begun.model_copy(update=actor))
        return Begun(user, row, token)

    async def page(self, user_id: str, *, cursor: str | None, limit: int) -> Page[SessionRow]:
        """Of one user, or of all where ``user_id`` is empty."""
        async with self._database.read() as session:
            return await SessionRepository(session).page(user_id=user_id, cursor=cursor, limit=limit)

    async def names(self, user_ids: Iterable[str]) -> dict[str, str]:
        async with self._database.read() as session:
            return await UserRepository(session).names(set(user_ids))

    async def end(self, by: Caller, session_id: str) -> SessionRow:
        """Ends one's own session, or anybody's for an admin. Idempotent. Raises NotFoundError."""
        async with self._changes.by(by) as session:
            row = await SessionRepository(session).find(session_id)
            if row is None or (row.user_id != by.user_id and not by.may(Verb.ADMIN)):
                raise NotFoundError(f'there is no session "{session_id}"', hint="gamekeeper session ls lists them")
            if row.ended_at is None:
                await self._end(session, [row], "signed_out" if row.id == by.session_id else "ended")
        return row

    async def end_all(self, session: AsyncSession, user: UserRow, reason: str, *, but: str = "", how: str = "") -> None:
        """All of a user, or those that began in one way, within the transaction that changes it. What would begin one
        without any further proof goes as well: a program's code of the provider."""
        if how in ("", SessionHow.OIDC):
            await OidcAttemptRepository(session).delete_codes_of(user.id)
        found = await SessionRepository(session).open_of(user.id, but=but)
        await self._end(session, [row for row in found if how in ("", row.how)], reason)

    async def _end(self, session: AsyncSession, rows: list[SessionRow], reason: str) -> None:
        await SessionRepository(session).end([row.id for row in rows], utc_now(), current_actor())
        for row in rows:
            about = {"user": row.user_id, "session": row.id, "address": row.address}
            record(session, Event(kind=EventKind.SESSION_ENDED, reason=reason, data=about))

    def state(self, row: SessionRow) -> SessionState:
        if row.ended_at is not None:
            return SessionState.ENDED
        return (
            SessionState.EXPIRED if self.terms.end(row.created_at, row.last_used_at) <= utc_now() else SessionState.OPEN
        )

    async def prune(self) -> None:
        """Forgets sessions that ended or ran out long ago."""
        before = utc_now() - KEPT_AFTER_END
        async with self._database.write() as session:
            sessions = SessionRepository(session)
            await sessions.delete_before(ended=before, used=before - self.terms.idle, begun=before - self.terms.longest)
