"""API keys as they are kept: made, listed, rotated and revoked. A secret is shown once, when it is made.

Each change looks anew at the key that asks for it: a revoked one, which other processes know for some seconds more,
gets itself no successor meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from api.services.access.user import check_reaches_user
from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import ApiKeyRow, ApiKeySecretRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.credential import has_admin, is_good
from gamekeeper.db.repositories.grant import GrantRepository
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.quota import QuotaRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.api_key import (
    ADMIN,
    KEPT_AFTER_END,
    LAST_GOOD_FOR,
    MAX_GOOD_KEYS,
    MAX_GOOD_SECRETS,
    ApiKeyState,
    free_name,
    is_taken,
)
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.gives import check_gives
from gamekeeper.domain.access.grant import HolderKind, holder, of_role
from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.verb import Verb
from gamekeeper.domain.access.ways_in import WaysIn
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError
from gamekeeper.keys import api_key_id, hash_key, new_api_key


class KeyRing:
    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes
        self.odd_rows = database.odd_rows

    async def get(self, key_id: str) -> ApiKeyRow:
        """Raises NotFoundError."""
        async with self._database.read() as session:
            return await KeyRepository(session).get(key_id)

    async def seen(self, by: Caller, key_id: str) -> ApiKeyRow:
        """A key for its user, for itself, or for an admin. Raises NotFoundError, and ForbiddenError for others."""
        row = await self.get(key_id)
        if row.id != by.key_id and not (by.user_id and row.user_id == by.user_id):
            by.check(Verb.ADMIN)
        return row

    async def page(self, *, user_id: str = "", cursor: str | None, limit: int) -> Page[ApiKeyRow]:
        """Of one user, or of all."""
        async with self._database.read() as session:
            return await KeyRepository(session).page(user_id=user_id, cursor=cursor, limit=limit)

    async def make(
        self, by: Caller, name: str, role: Role, lifetime: timedelta | None, user_id: str = ""
    ) -> tuple[str, ApiKeyRow]:
        """A key, and its secret; it acts as the user, or for itself where none is named.

        Raises ForbiddenError, NotFoundError for the user, and ConflictError for a name that a good key has, and for too
        many keys."""
        _check_owner(by, user_id)
        now = utc_now()
        end = None if lifetime is None else now + lifetime
        row = ApiKeyRow(name=name, role=role, user_id=user_id or None, created_by=current_actor(), expires_at=end)
        secret = new_api_key(row.id)
        async with self._changes.by(by) as session:
            if not user_id:
                check_gives(by.access, verbs_of(role), Selector())
            keys = KeyRepository(session)
            if user_id and (user := await UserRepository(session).get(user_id)).id != by.user_id:
                await check_reaches_user(session, by, user)
            names = await keys.names_of_good(now)
            if is_taken(name, names):
                raise ConflictError(
                    f'there is a good API key "{name}" already', hint=f"gamekeeper key rotate {name}; or another name"
                )
            if len(names) >= MAX_GOOD_KEYS:
                raise ConflictError(f"there are {MAX_GOOD_KEYS} good API keys already", hint="revoke some")
            await _add(session, row, secret)
        return secret, row

    async def revoke(self, by: Caller, key_id: str) -> None:
        """Ends a key. Idempotent. Raises NotFoundError, and ConflictError for the last one that is good."""
        async with self._changes.by(by) as session:
            keys, now = KeyRepository(session), utc_now()
            row = await keys.get(key_id)
            _check_owner(by, row.user_id or "")
            if row.state is not ApiKeyState.GOOD:
                return
            await _check_reaches(session, by, row)
            if row.role == Role.ADMIN and not await has_admin(
                session, now + LAST_GOOD_FOR, self._changes.ways, but_key=key_id
            ):
                raise ConflictError(
                    f'"{row.name}" is the last good API key of an admin: without it nobody could make others',
                    hint="make another one first, good for an hour at least, or give this one a new secret: "
                    "gamekeeper key rotate --overlap 0s",
                )
            row.revoked_at = now
            record(session, _event(EventKind.KEY_REVOKED, row))

    async def rotate(self, by: Caller, key_id: str, overlap: timedelta) -> tuple[str, ApiKeyRow, datetime]:
        """A new secret, the key, and the end of its earlier secrets, which stay good for ``overlap``.

        Raises NotFoundError, ForbiddenError for a key that may not do it to another one, and ConflictError for a key
        that has ended or has too many secrets."""
        secret, until = new_api_key(key_id), utc_now() + overlap
        async with self._changes.by(by) as session:
            keys = KeyRepository(session)
            row = await keys.get(key_id)
            if key_id != by.key_id:
                _check_owner(by, row.user_id or "")
                await _check_reaches(session, by, row)
            if row.state is not ApiKeyState.GOOD:
                raise ConflictError(f'the API key "{row.name}" is {row.state.value}', hint="make another one")
            await keys.end_secrets(key_id, until)
            if await keys.count_secrets(key_id, utc_now()) >= MAX_GOOD_SECRETS:
                raise ConflictError(
                    f'{MAX_GOOD_SECRETS} secrets of the API key "{row.name}" are good already',
                    hint="end them: gamekeeper key rotate --overlap 0s",
                )
            keys.add(ApiKeySecretRow(key_hash=hash_key(secret), key_id=key_id))
            record(session, _event(EventKind.KEY_ROTATED, row, earlier_good_until=until.isoformat()))
        return secret, row, until

    async def ensure_given(self, secret: str) -> bool:
        """Makes the key that a start was given, as ``Given.ensure`` does."""
        async with self.giving() as given:
            return await given.ensure(secret)

    @asynccontextmanager
    async def giving(self) -> AsyncIterator[Given]:
        """Keys that a start is given: starts take turns, and changes of keys with them."""
        async with self._database.write() as session:
            await KeyRepository(session).lock()
            yield Given(session, self._changes.ways)

    async def prune(self) -> None:
        """Forgets keys, secrets and grants that ended long ago."""
        async with self._database.read() as session:
            old = await KeyRepository(session).ended_before(utc_now() - KEPT_AFTER_END)
        async with self._database.write() as session:
            keys = KeyRepository(session)
            await keys.delete_secrets_before(utc_now() - KEPT_AFTER_END)
            if old:
                await keys.delete(old)
                await GrantRepository(session).delete_of(HolderKind.KEY, old)
                await QuotaRepository(session).delete_of([holder(HolderKind.KEY, key_id) for key_id in old])
            await GrantRepository(session).delete_ended_before(utc_now() - KEPT_AFTER_END)


class Given:
    """The keys that a start was given, within one transaction."""

    def __init__(self, session: AsyncSession, ways: WaysIn) -> None:
        self._session = session
        self._ways = ways
        self._keys = KeyRepository(session)

    async def ensure(self, secret: str) -> bool:
        """Makes the key; those of earlier starts stay good. False for one that has ended, which no start makes good
        again. One with an id was made by a control plane: where there are keys and not this one, it was forgotten."""
        now = utc_now()
        found = await self._keys.by_hash(hash_key(secret))
        if found is not None:
            found[1].is_given = True
            return is_good(*found, now)
        if api_key_id(secret) and not await self._keys.is_empty():
            return False
        await self.add(secret)
        return True

    async def add(self, secret: str) -> None:
        name = free_name(ADMIN, await self._keys.names_of_good(utc_now()))
        await _add(self._session, ApiKeyRow(name=name, is_given=True, created_by=current_actor()), secret)

    async def has_admin(self) -> bool:
        """True where some key is good that may make others."""
        return await has_admin(self._session, utc_now(), self._ways)


def _check_owner(by: Caller, user_id: str) -> None:
    """Whoever is signed in has its own keys in its hands. A key has no other one: that might do more than itself.

    Raises ForbiddenError."""
    if not (by.session_id and user_id == by.user_id):
        by.check(Verb.ADMIN)


async def _add(session: AsyncSession, row: ApiKeyRow, secret: str) -> None:
    keys = KeyRepository(session)
    keys.add(row)
    await keys.flush()
    keys.add(ApiKeySecretRow(key_hash=hash_key(secret), key_id=row.id))
    until = {"expires_at": row.expires_at.isoformat()} if row.expires_at is not None else {}
    record(session, _event(EventKind.KEY_MADE, row, **until))


async def _check_reaches(session: AsyncSession, by: Caller, row: ApiKeyRow) -> None:
    """Raises ForbiddenError for another's key that may do what ``by`` may not: its secret would be a way to that."""
    if row.id == by.key_id or (row.user_id and row.user_id == by.user_id):
        return
    found = await GrantRepository(session).good([(HolderKind.KEY, row.id)], utc_now())
    for grant in (of_role(row.role), *found.get(holder(HolderKind.KEY, row.id), ())):
        check_gives(by.access, grant.verbs, grant.selector)


def _event(kind: EventKind, row: ApiKeyRow, **data: str) -> Event:
    whose = {"user": row.user_id} if row.user_id else {}
    return Event(kind=kind, message=row.name, data={"key": row.id} | whose | data)
