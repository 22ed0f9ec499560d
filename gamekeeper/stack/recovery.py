"""The way back in for whoever has the machine of the stack: it may read the database anyway, and needs no key.

It writes to the database itself, whether or not the stack is up: processes that are up look at it within seconds.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from contextlib import suppress
from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.migrate import is_current
from gamekeeper.db.models import UserRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.authenticator import AuthenticatorRepository
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.db.repositories.oidc_attempt import OidcAttemptRepository
from gamekeeper.db.repositories.passkey import PasskeyRepository
from gamekeeper.db.repositories.session import SessionRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import FIRST_USER, SETUP_LIFETIME, UserKind, UserState
from gamekeeper.domain.access.user_name import name_key, name_looks, user_name
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError
from gamekeeper.passwords import hash_password, make_password
from gamekeeper.stack.layout import StateDir


@dataclass(frozen=True)
class Recovered:
    """``password`` is good for one sign-in."""

    name: str
    role: str
    password: str
    is_new: bool


@dataclass(frozen=True)
class Removals:
    """The ways in that go beside the password of before."""

    totp: bool = False
    passkeys: bool = False


def recover(state: StateDir, name: str, *, removes_totp: bool = False, removes_passkeys: bool = False) -> Recovered:
    """Gives the user a one-time password, and ends its sessions. Without a name it is the only admin, or one that is
    made where there is no user. ``removes_totp`` turns its authenticator off as well, ``removes_passkeys`` removes all
    passkeys.

    Raises NotFoundError, InvalidError where several may be meant, ConflictError for a database of another version, and
    UnavailableError."""
    stack = state.load()
    url = stack.database or state.database_url
    if not stack.ports:
        raise NotFoundError(f"no stack was ever started in {state.root}", hint="name it with --state-dir")
    if (owner := state.root.stat().st_uid) != os.geteuid():
        raise InvalidError(
            f"{state.root} belongs to somebody else, who could not write what you leave there",
            hint=f"run it as the user with the id {owner}",
        )
    if not is_current(url):
        raise ConflictError("the database is of another version", hint="run gamekeeper up once, then try again")
    return asyncio.run(_recover(url, name, Removals(removes_totp, removes_passkeys)))


async def _recover(url: str, name: str, removals: Removals) -> Recovered:
    database, password = Database(url), make_password()
    password_hash = await asyncio.to_thread(hash_password, password)
    try:
        async with database.write() as session:
            await KeyRepository(session).lock()
            users = UserRepository(session)
            row, undone = await _found(users, name), ["password"]
            if (is_new := row is None) or row is None:
                row = _first(name or FIRST_USER)
                users.add(row)
            if row.kind != UserKind.PERSON:
                raise InvalidError(f'"{row.name}" is a service, which does not sign in')
            if row.state != UserState.ACTIVE:
                row.state, undone = UserState.ACTIVE.value, [*undone, "disabled"]
            row.password_hash, row.must_change = password_hash, True
            row.password_until = utc_now() + SETUP_LIFETIME
            await session.flush()
            undone += await _remove(session, row, removals)
            sessions = SessionRepository(session)
            still_open = [found.id for found in await sessions.open_of(row.id)]
            await sessions.end(still_open, utc_now(), "system")
            await OidcAttemptRepository(session).delete_codes_of(row.id)
            about = {"user": row.id, "undone": undone, "sessions": len(still_open), "by": _who()}
            record(session, Event(kind=EventKind.USER_RECOVERED, message=row.name, actor="system", data=about))
            return Recovered(row.name, row.role, password, is_new)
    finally:
        await database.close()


async def _remove(session: AsyncSession, row: UserRow, removals: Removals) -> list[str]:
    """Gives the removals as the event names them."""
    removed = []
    if removals.totp and row.has_totp:
        await AuthenticatorRepository(session).forget_all(row.id)
        row.has_totp, removed = False, ["totp"]
    if removals.passkeys:
        passkeys = PasskeyRepository(session)
        for passkey in await passkeys.of_user(row.id):
            await passkeys.delete(passkey)
            about = {"user": row.id, "passkey": passkey.id}
            removal = Event(kind=EventKind.PASSKEY_REMOVED, message=passkey.name, actor="system", data=about)
            record(session, removal)
            removed = [*removed, "passkey"]
    return removed


async def _found(users: UserRepository, name: str) -> UserRow | None:
    """None where one is to be made, because there is no user."""
    if not await users.count():
        return None
    if name:
        row = await users.find_named(name_key(name))
        if row is None:
            raise NotFoundError(f'there is no user "{name}"', hint="without a name it is the only admin")
        return row
    admins = await users.admins()
    if len(admins) != 1:
        raise InvalidError("there is not just one admin", hint="name the user")
    return admins[0]


def _first(text: str) -> UserRow:
    try:
        name = user_name(text)
    except ValueError as error:
        raise InvalidError(str(error)) from None
    return UserRow(
        name=name, name_key=name_key(name), name_looks=name_looks(name), role=Role.ADMIN, created_by="system"
    )


def _who() -> str:
    """The account of this machine, for the log: it proves nothing."""
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return ""
