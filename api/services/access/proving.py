"""Proof once more of who is signed in, before the ways in are changed: a session that was left open is not enough.

By the password, with a code where there is an authenticator; or by a passkey. Who has neither, because somebody else
vouches for them, has to have signed in a moment ago.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from api.services.access.passkey_use import Answered, Checked, PasskeyUses, unknown_passkey
from api.services.access.rates import network_of
from api.services.access.second_factor import SecondFactor
from api.services.access.sign_in_rates import SignInRates
from api.services.access.user import check_is_person, check_signed_in, has_password
from gamekeeper.db.models import UserRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.passkey import PasskeyRepository
from gamekeeper.db.repositories.session import SessionRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.passkey import Ceremony
from gamekeeper.errors import ForbiddenError, InvalidError

NEEDED = "proof_needed"
FRESH = timedelta(minutes=5)


@dataclass(frozen=True)
class OwnProof:
    """A password with a code, or a passkey's answer."""

    password: str = ""
    code: str = ""
    passkey: Answered | None = None


class Proving:
    def __init__(self, changes: Changes, second: SecondFactor, uses: PasskeyUses, rates: SignInRates) -> None:
        self._changes = changes
        self._second = second
        self._uses = uses
        self._rates = rates

    @asynccontextmanager
    async def by(
        self, caller: Caller, proof: OwnProof, address: str, *, asks_code: bool = True
    ) -> AsyncIterator[tuple[AsyncSession, UserRow]]:
        """A transaction of whoever has proven who it is, with its user, held. Raises InvalidError for a wrong proof,
        ForbiddenError for a key and for none where one is needed, TooOftenError, and ConflictError for a user that
        was changed in this moment."""
        check_signed_in(caller)
        if proof.passkey is not None:
            checked = await self._check_passkey(caller, proof.passkey, address)
            async with self._changes.by(caller) as session:
                row = await UserRepository(session).locked(caller.user_id)
                await self._uses.take(session, checked, address)
                yield session, row
        elif await self._has_none(caller):
            async with self._changes.by(caller) as session:
                row = await UserRepository(session).locked(caller.user_id)
                await self._check_fresh(session, caller, row)
                yield session, row
        else:
            if not proof.password:
                raise InvalidError(
                    "this needs a proof of who you are", hint="send your password, or a passkey's answer", code=NEEDED
                )
            seen = await self._second.proven(caller, proof.password, address)
            async with self._changes.by(caller) as session:
                yield session, await self._second.held(session, seen, proof.code if asks_code else None)

    async def _check_passkey(self, caller: Caller, passkey: Answered, address: str) -> Checked:
        async with self._changes.reading() as session:
            user = await UserRepository(session).get(caller.user_id)
        found = await self._uses.find(passkey.answer)
        attempt = self._rates.begin(user.name_key, network_of(address), is_known=True)
        if found is not None and found[1].id != user.id:
            raise unknown_passkey()
        checked = await self._uses.check(Ceremony.PROVE, passkey, found[0] if found else None)
        self._rates.right(attempt)
        return checked

    async def _has_none(self, caller: Caller) -> bool:
        async with self._changes.reading() as session:
            user = await UserRepository(session).get(caller.user_id)
            check_is_person(user)
            return not has_password(user) and not await PasskeyRepository(session).count(
                user.id, self._changes.ways.rp_id
            )

    async def _check_fresh(self, session: AsyncSession, caller: Caller, user: UserRow) -> None:
        if has_password(user) or await PasskeyRepository(session).count(user.id, self._changes.ways.rp_id):
            raise InvalidError("a password or a passkey was added in this moment", hint="prove it by that one")
        row = await SessionRepository(session).find(caller.session_id)
        if row is None or row.created_at < utc_now() - FRESH:
            raise ForbiddenError(
                "this needs a proof of who you are, and you have neither a password nor a passkey",
                hint=f"sign in anew, and ask again within {FRESH.total_seconds() / 60:.0f} minutes",
                code="sign_in_anew",
            )
