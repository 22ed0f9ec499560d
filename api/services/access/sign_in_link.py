"""Links that sign in once, for whoever is on the machine of the api anyway: printed there, and opened in a browser.

They live in the memory of the api that made them, for some minutes. A restart voids them, and no copy of the database
opens anything. The token stands behind the # of an address, which browsers send to nobody and which is in no log.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from api.services.access.session import Begun, SessionService, Whence
from api.services.access.user import NewUser, UserService, check_reaches_user
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import UserRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import FIRST_USER, SessionHow, UserKind
from gamekeeper.domain.access.user_name import name_key
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import InvalidError, NotFoundError, UnauthenticatedError
from gamekeeper.keys import SIGN_IN_LINK_PREFIX, hash_key, new_key

LIFETIME = timedelta(minutes=15)
MOST_OPEN = 20  # the oldest makes room


@dataclass(frozen=True)
class SignInLink:
    """``token`` is shown once."""

    token: str
    user: UserRow
    expires_at: datetime


@dataclass(frozen=True)
class _Open:
    user_id: str
    until: float  # of the monotonic clock


class SignInLinks:
    def __init__(self, database: Database, changes: Changes, sessions: SessionService, users: UserService) -> None:
        self._database = database
        self._changes = changes
        self._sessions = sessions
        self._users = users
        self._open: dict[str, _Open] = {}

    async def make(self, by: Caller, name: str) -> SignInLink:
        """A link for the user of the name. Without one it is for the caller's own user, or else for the only admin, who
        is made where there is no user at all.

        Raises NotFoundError, InvalidError where several may be meant, and ForbiddenError for a user who may do what the
        caller may not."""
        if not name and not by.user_id and not await self._has_users():
            await self._users.make(by, NewUser(FIRST_USER, role=Role.ADMIN))
        async with self._changes.by(by) as session:
            user = await _found(session, by, name)
            await check_reaches_user(session, by, user)
            if user.kind != UserKind.PERSON:
                raise InvalidError(f'"{user.name}" is a service, which does not sign in')
            record(session, Event(kind=EventKind.SIGN_IN_LINK_MADE, message=user.name, data={"user": user.id}))
        token, now = new_key(SIGN_IN_LINK_PREFIX), time.monotonic()
        self._open = {key: link for key, link in self._open.items() if link.until > now}
        while len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._open[hash_key(token)] = _Open(user.id, now + LIFETIME.total_seconds())
        return SignInLink(token, user, utc_now() + LIFETIME)

    async def sign_in(self, token: str, whence: Whence) -> Begun:
        """A session by a link, which is spent with that. Raises UnauthenticatedError, and ForbiddenError for a user who
        was disabled meanwhile."""
        link = self._open.pop(hash_key(token), None)
        if link is None or link.until <= time.monotonic():
            raise UnauthenticatedError(
                "this link was used, is too old, or was made before the server's last start",
                hint="gamekeeper user link makes another one",
                code="link_spent",
            )
        return await self._sessions.begin_session(link.user_id, SessionHow.LINK, whence)

    async def _has_users(self) -> bool:
        async with self._database.read() as session:
            return bool(await UserRepository(session).count())


async def _found(session: AsyncSession, by: Caller, name: str) -> UserRow:
    users = UserRepository(session)
    if name:
        row = await users.find_named(name_key(name))
        if row is None:
            raise NotFoundError(f'there is no user "{name}"', hint="gamekeeper user ls lists them")
        return row
    if by.user_id:
        return await users.get(by.user_id)
    admins = await users.admins()
    if len(admins) != 1:
        raise InvalidError("there is not just one admin", hint="name the user")
    return admins[0]
