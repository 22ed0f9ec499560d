"""Users as they are kept: made, listed, changed and removed. The last who may let others in stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from api.services.access.password_hashing import PasswordHashing
from api.services.access.session import SessionService
from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import UserRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.credential import has_admin
from gamekeeper.db.repositories.grant import GrantRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.quota import QuotaRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.api_key import LAST_GOOD_FOR
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.gives import check_gives
from gamekeeper.domain.access.grant import HolderKind, holder, of_role
from gamekeeper.domain.access.password import check_password
from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.user import MAX_USERS, SETUP_LIFETIME, UserKind, UserState
from gamekeeper.domain.access.user_name import name_key, name_looks
from gamekeeper.domain.access.ways_in import WaysIn
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, ForbiddenError, GamekeeperError, InvalidError
from gamekeeper.passwords import make_password


@dataclass(frozen=True)
class NewUser:
    """``name`` is in its kept form. Without a password a person gets a one-time one, and a service has none."""

    name: str
    display_name: str = ""
    kind: UserKind = UserKind.PERSON
    role: Role = Role.VIEWER
    password: str = ""
    must_change: bool = True


class UserService:
    def __init__(
        self,
        database: Database,
        changes: Changes,
        sessions: SessionService,
        hashing: PasswordHashing,
    ) -> None:
        self._database = database
        self._changes = changes
        self._sessions = sessions
        self._hashing = hashing
        self.odd_rows = database.odd_rows

    async def get(self, user_id: str) -> UserRow:
        """Raises NotFoundError."""
        async with self._database.read() as session:
            return await UserRepository(session).get(user_id)

    async def page(self, *, cursor: str | None, limit: int) -> Page[UserRow]:
        async with self._database.read() as session:
            return await UserRepository(session).page(cursor=cursor, limit=limit)

    async def make(self, by: Caller, new: NewUser) -> tuple[UserRow, str]:
        """A user, and its one-time password where one was made. Raises InvalidError, and ConflictError for a name that
        another user has, or that looks like one."""
        row = UserRow(
            name=new.name,
            name_key=name_key(new.name),
            name_looks=name_looks(new.name),
            display_name=new.display_name,
            kind=new.kind,
            role=new.role,
            created_by=current_actor(),
        )
        check_gives(by.access, verbs_of(new.role), Selector())
        made = await self._first_password(row, new)
        async with self._changes.by(by) as session:
            users = UserRepository(session)
            if (like := await users.find_like(row.name_key, row.name_looks)) is not None:
                is_same = like.name_key == row.name_key
                words = "there is a user" if is_same else "the name looks like that of the user"
                raise ConflictError(f'{words} "{like.name}" already', hint="give another name")
            await check_room_for(users)
            users.add(row)
            record(session, _event(EventKind.USER_MADE, row, kind=row.kind, role=row.role))
        return row, made

    async def change(self, by: Caller, user_id: str, **fields: str) -> UserRow:
        """``fields`` are ``display_name``, ``role`` and ``state``. Raises NotFoundError, and ConflictError for the last
        who may let others in."""
        async with self._changes.by(by) as session:
            row = await UserRepository(session).locked(user_id)
            await check_reaches_user(session, by, row)
            check_gives(by.access, verbs_of(fields.get("role", row.role)), Selector())
            changes = {
                name: [getattr(row, name), value] for name, value in fields.items() if getattr(row, name) != value
            }
            if not changes:
                return row
            was_admin = row.role == Role.ADMIN
            for name, (_, value) in changes.items():
                setattr(row, name, value)
            if was_admin:
                await check_somebody_left(session, row, self._changes.ways)
            if row.state != UserState.ACTIVE:
                await self._sessions.end_all(session, row, "disabled")
            record(session, _event(EventKind.USER_CHANGED, row, changes=changes))
        return row

    async def remove(self, by: Caller, user_id: str) -> None:
        """Removes a user with its keys and sessions. Raises NotFoundError, and ConflictError for the last who may let
        others in."""
        async with self._changes.by(by) as session:
            row = await UserRepository(session).locked(user_id)
            await check_reaches_user(session, by, row)
            if row.role == Role.ADMIN:
                await check_somebody_left(session, row, self._changes.ways, but=user_id)
            await self._sessions.end_all(session, row, "removed")
            await UserRepository(session).delete(user_id)
            await GrantRepository(session).delete_of(HolderKind.USER, [user_id])
            await QuotaRepository(session).delete_of([holder(HolderKind.USER, user_id)])
            record(session, _event(EventKind.USER_REMOVED, row))

    async def reset(self, by: Caller, user_id: str) -> tuple[UserRow, str]:
        """Gives a person a one-time password in the place of its own, and ends its sessions. Raises NotFoundError,
        InvalidError for a service, and ConflictError for the last who may let others in."""
        password = make_password()
        password_hash = await self._hashing.hash(password)
        async with self._changes.by(by) as session:
            row = await UserRepository(session).locked(user_id)
            check_is_person(row)
            await check_reaches_user(session, by, row)
            row.password_hash, row.must_change = password_hash, True
            row.password_until = utc_now() + SETUP_LIFETIME
            if row.role == Role.ADMIN:
                await check_somebody_left(session, row, self._changes.ways)
            await self._sessions.end_all(session, row, "password_reset")
            record(session, _event(EventKind.USER_CHANGED, row, replaced=["password"]))
        return row, password

    async def _first_password(self, row: UserRow, new: NewUser) -> str:
        """Sets the hash of the password that was given, or of one that is made here and returned."""
        if new.kind is UserKind.SERVICE:
            if new.password:
                raise InvalidError("a service has no password", hint="make it a key: gamekeeper key make --user NAME")
            return ""
        if new.password:
            check_new_password(new.password, new.name)
            row.password_hash, row.must_change = await self._hashing.hash(new.password), new.must_change
            return ""
        made = make_password()
        row.password_hash, row.must_change = await self._hashing.hash(made), True
        row.password_until = utc_now() + SETUP_LIFETIME
        return made


async def check_somebody_left(session: AsyncSession, row: UserRow, ways: WaysIn, *, but: str = "") -> None:
    """Raises ConflictError where nobody could let others in any more, once this transaction has changed the user."""
    await session.flush()
    if not await has_admin(session, utc_now() + LAST_GOOD_FOR, ways, but_user=but):
        raise ConflictError(
            f'"{row.name}" is the last who may let others in: without it nobody could',
            hint="make another admin first, and have it sign in once",
        )


async def check_room_for(users: UserRepository) -> None:
    """Raises ConflictError where there is no room for one more."""
    if await users.count() >= MAX_USERS:
        raise ConflictError(f"there are {MAX_USERS} users already", hint="remove some")


def check_new_password(password: str, name: str) -> None:
    """Raises InvalidError, which does not repeat it."""
    try:
        check_password(password, name)
    except ValueError as error:
        raise InvalidError(str(error), hint="a few words that don't belong together are a good one") from None


def check_signed_in(by: Caller) -> None:
    """Raises ForbiddenError for a key, also for one of a user: whoever finds it gets no hold of the user by it."""
    if not by.session_id:
        raise ForbiddenError(
            f"{by.words} calls by a key, and this is for who has signed in",
            hint="sign in: gamekeeper login",
            code="session_needed",
        )


def has_password(row: UserRow) -> bool:
    """True when its password opens anything: a one-time password that ran out does not."""
    return bool(row.password_hash) and (row.password_until is None or row.password_until > utc_now())


def password_expired(error: type[GamekeeperError]) -> GamekeeperError:
    return error("this one-time password ran out", hint="have an admin make another one", code="password_expired")


def check_is_person(row: UserRow) -> None:
    if row.kind != UserKind.PERSON:
        raise InvalidError(f'"{row.name}" is a service, which does not sign in', hint="its keys are in `key ls`")


def _event(what: EventKind, row: UserRow, **data: Any) -> Event:
    return Event(kind=what, message=row.name, data={"user": row.id} | data)


async def check_reaches_user(session: AsyncSession, by: Caller, row: UserRow) -> None:
    """Raises ForbiddenError for a user who may do what ``by`` may not: a new password would be a way to that."""
    found = await GrantRepository(session).good([(HolderKind.USER, row.id)], utc_now())
    for grant in (of_role(row.role), *found.get(holder(HolderKind.USER, row.id), ())):
        check_gives(by.access, grant.verbs, grant.selector)
