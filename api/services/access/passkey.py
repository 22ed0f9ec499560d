"""Passkeys as they are kept: added, listed, renamed and removed. The last way in stays, unless an admin removes it."""

from __future__ import annotations

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.ceremonies import Ceremonies
from api.services.access.changing import Changes
from api.services.access.passkey_answers import check_new
from api.services.access.passkey_options import creation_options, request_options
from api.services.access.passkey_sign_in import Options
from api.services.access.passkey_use import Answered
from api.services.access.proving import OwnProof, Proving
from api.services.access.session import SessionService
from api.services.access.user import (
    check_is_person,
    check_reaches_user,
    check_signed_in,
    check_somebody_left,
    has_password,
)
from gamekeeper.db.event_log import record
from gamekeeper.db.models import PasskeyRow, UserRow
from gamekeeper.db.repositories.identity import IdentityRepository
from gamekeeper.db.repositories.passkey import PasskeyRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.passkey import MAX_PASSKEYS, Ceremony
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError


class PasskeyService:
    def __init__(self, changes: Changes, ceremonies: Ceremonies, proving: Proving, sessions: SessionService) -> None:
        self._changes = changes
        self._ceremonies = ceremonies
        self._proving = proving
        self._sessions = sessions

    async def begin(self, by: Caller, proof: OwnProof, address: str) -> Options:
        """Options for a new passkey of one's own. Raises as ``Proving.by`` does, and ConflictError for too many and
        where passkeys are not set up."""
        begun = await self._ceremonies.begin(Ceremony.ADD, by.session_id, by.user_id)
        async with self._proving.by(by, proof, address) as (session, user):
            known = await PasskeyRepository(session).of_user(user.id)
            _check_room(known)
            return Options(begun.ticket, creation_options(begun, user, known))

    async def add(self, by: Caller, name: str, answered: Answered) -> PasskeyRow:
        """The new passkey, which opens from now on. Raises InvalidError for an answer that is wrong, ForbiddenError for
        a key, and ConflictError for too many and for a name or a passkey that is there already."""
        check_signed_in(by)
        opened = await self._ceremonies.open(answered.ticket, Ceremony.ADD, answered.bound_to)
        made = await check_new(answered.answer, opened)
        async with self._changes.by(by) as session:
            user, passkeys = await UserRepository(session).locked(by.user_id), PasskeyRepository(session)
            check_is_person(user)
            if opened.about != user.id:
                raise InvalidError("this challenge was given to another user", hint="ask for options anew")
            await self._ceremonies.spend(session, opened)
            known = await passkeys.of_user(user.id)
            _check_room(known)
            _check_name(known, name)
            if await passkeys.find_credential(made.credential_id) is not None:
                raise ConflictError("this passkey is there already", hint="take another device or key ring")
            row = PasskeyRow(
                user_id=user.id,
                credential_id=made.credential_id,
                public_key=made.public_key,
                sign_count=made.sign_count,
                rp_id=opened.rp.id,
                name=name,
                is_synced=made.is_synced,
            )
            passkeys.add(row)
            _tell(session, EventKind.PASSKEY_ADDED, user, row)
        return row

    async def begin_proof(self, by: Caller) -> Options:
        """Options for a proof by one of one's own. Raises ForbiddenError for a key, and ConflictError for who has
        none and where passkeys are not set up."""
        check_signed_in(by)
        begun = await self._ceremonies.begin(Ceremony.PROVE, by.session_id)
        async with self._changes.reading() as session:
            rows = await PasskeyRepository(session).of_user(by.user_id)
        known = [row for row in rows if row.rp_id == begun.rp.id]
        if not known:
            raise ConflictError("you have no passkey", hint="prove who you are by your password")
        return Options(begun.ticket, request_options(begun, known))

    async def of_user(self, user_id: str) -> list[PasskeyRow]:
        """Raises NotFoundError."""
        async with self._changes.reading() as session:
            await UserRepository(session).get(user_id)
            return await PasskeyRepository(session).of_user(user_id)

    async def rename(self, by: Caller, passkey_id: str, name: str) -> PasskeyRow:
        """One of one's own. Raises ForbiddenError for a key, NotFoundError, and ConflictError for a name that another
        one has."""
        check_signed_in(by)
        async with self._changes.by(by) as session:
            user, passkeys = await UserRepository(session).locked(by.user_id), PasskeyRepository(session)
            row = _found(await passkeys.find(user.id, passkey_id), passkey_id)
            if row.name != name:
                _check_name([other for other in await passkeys.of_user(user.id) if other.id != row.id], name)
                before, row.name = row.name, name
                _tell(session, EventKind.PASSKEY_RENAMED, user, row, changes={"name": [before, name]})
        return row

    async def remove(self, by: Caller, passkey_id: str, proof: OwnProof, address: str) -> None:
        """One of one's own, and ends one's other sessions. Raises as ``Proving.by`` does, NotFoundError, and
        ConflictError for the last way in."""
        async with self._proving.by(by, proof, address) as (session, user):
            passkeys = PasskeyRepository(session)
            row = _found(await passkeys.find(user.id, passkey_id), passkey_id)
            if row.rp_id == self._changes.ways.rp_id and await self._is_last_way_in(session, user):
                raise ConflictError(
                    "this is your last way to sign in",
                    hint="add another passkey or a password first; an admin can remove it all the same",
                    code="last_way_in",
                )
            await self._remove(session, user, [row], but=by.session_id)

    async def remove_of(self, by: Caller, user_id: str, passkey_id: str = "") -> None:
        """Of somebody, for whoever has lost it: one, or all where none is named. Ends the user's sessions. Raises
        NotFoundError, ForbiddenError for a user who may more, and ConflictError for the last who may let others in."""
        async with self._changes.by(by) as session:
            user, passkeys = await UserRepository(session).locked(user_id), PasskeyRepository(session)
            await check_reaches_user(session, by, user)
            if passkey_id:
                rows = [_found(await passkeys.find(user.id, passkey_id), passkey_id)]
            else:
                rows = await passkeys.of_user(user.id)
            if rows:
                await self._remove(session, user, rows)

    async def _is_last_way_in(self, session: AsyncSession, user: UserRow) -> bool:
        """Of a passkey that is not void."""
        ways = self._changes.ways
        if has_password(user) or await PasskeyRepository(session).count(user.id, ways.rp_id) > 1:
            return False
        return not any(identity.issuer == ways.issuer for identity in await IdentityRepository(session).of(user.id))

    async def _remove(self, session: AsyncSession, user: UserRow, rows: list[PasskeyRow], *, but: str = "") -> None:
        """Sessions end because some of them may have begun by what is lost."""
        for row in rows:
            await PasskeyRepository(session).delete(row)
            _tell(session, EventKind.PASSKEY_REMOVED, user, row)
        if user.role == Role.ADMIN:
            await check_somebody_left(session, user, self._changes.ways)
        await self._sessions.end_all(session, user, "passkey_removed", but=but)


def _check_room(known: list[PasskeyRow]) -> None:
    if len(known) >= MAX_PASSKEYS:
        raise ConflictError(f"you have {MAX_PASSKEYS} passkeys already", hint="remove one first")


def _check_name(known: list[PasskeyRow], name: str) -> None:
    if any(row.name.casefold() == name.casefold() for row in known):
        raise ConflictError(f'you have a passkey "{name}" already', hint="give another name")


def _found(row: PasskeyRow | None, passkey_id: str) -> PasskeyRow:
    if row is None:
        raise NotFoundError(f'the user has no passkey "{passkey_id}"', hint="gamekeeper user passkey ls lists them")
    return row


def _tell(session: AsyncSession, what: EventKind, user: UserRow, row: PasskeyRow, **data: Any) -> None:
    about = {"user": user.id, "passkey": row.id} | data
    record(session, Event(kind=what, message=row.name, data=about))
