"""Identities of users at the OpenID provider, as an admin links and unlinks them."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from api.services.access.session import SessionService
from api.services.access.user import check_is_person, check_reaches_user
from gamekeeper.actor import current_actor
from gamekeeper.db.event_log import record
from gamekeeper.db.models import IdentityRow, UserRow
from gamekeeper.db.repositories.identity import IdentityRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.oidc import MAX_IDENTITIES
from gamekeeper.domain.access.user import SessionHow
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError


class IdentityService:
    """``issuer`` is that of the configured provider; empty where there is none."""

    def __init__(self, changes: Changes, sessions: SessionService, issuer: str) -> None:
        self._changes = changes
        self._sessions = sessions
        self._issuer = issuer

    async def of(self, user_id: str) -> list[IdentityRow]:
        """Raises NotFoundError."""
        async with self._changes.reading() as session:
            await UserRepository(session).get(user_id)
            return await IdentityRepository(session).of(user_id)

    async def link(self, by: Caller, user_id: str, subject: str) -> IdentityRow:
        """From then on whoever the provider knows by the subject signs in as the user. Raises NotFoundError,
        ConflictError for a subject that is linked already, and InvalidError where there is no provider."""
        if not self._issuer:
            raise InvalidError("this server has no provider to link to", hint="GAMEKEEPER_OIDC_ISSUER names one")
        async with self._changes.by(by) as session:
            user = await UserRepository(session).locked(user_id)
            check_is_person(user)
            await check_reaches_user(session, by, user)
            identities = IdentityRepository(session)
            if (found := await identities.find(self._issuer, subject)) is not None:
                other = await UserRepository(session).get(found.user_id)
                raise ConflictError(f'this subject is linked to "{other.name}"', hint="unlink it there first")
            if len(await identities.of(user_id)) >= MAX_IDENTITIES:
                raise ConflictError(f"a user has {MAX_IDENTITIES} identities at most", hint="unlink one")
            row = IdentityRow(user_id=user_id, issuer=self._issuer, subject=subject, created_by=current_actor())
            identities.add(row)
            _tell(session, EventKind.USER_LINKED, user, row)
        return row

    async def unlink(self, by: Caller, user_id: str, identity_id: str) -> None:
        """Ends the sessions that the provider vouched for as well. Raises NotFoundError."""
        async with self._changes.by(by) as session:
            user = await UserRepository(session).locked(user_id)
            await check_reaches_user(session, by, user)
            row = await IdentityRepository(session).find_of(user_id, identity_id)
            if row is None:
                raise NotFoundError(
                    f'"{user.name}" has no identity "{identity_id}"', hint="gamekeeper identity ls USER lists them"
                )
            await IdentityRepository(session).delete(row)
            await self._sessions.end_all(session, user, "unlinked", how=SessionHow.OIDC)
            _tell(session, EventKind.USER_UNLINKED, user, row)


def _tell(session: AsyncSession, kind: EventKind, user: UserRow, row: IdentityRow) -> None:
    about = {"user": user.id, "identity": row.id, "issuer": row.issuer, "subject": row.subject}
    record(session, Event(kind=kind, message=user.name, data=about))
