"""The second factor: codes of an authenticator (TOTP), each taken once, and recovery codes for when it is lost.

The authenticator's secret is wrapped by a master key of secrets, so that a copy of the database makes no codes.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import pyotp
from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from api.services.access.password_hashing import PasswordHashing
from api.services.access.rates import network_of
from api.services.access.sign_in_rates import Attempt, SignInRates
from api.services.access.user import (
    check_is_person,
    check_reaches_user,
    check_signed_in,
    has_password,
    password_expired,
)
from gamekeeper.db.event_log import record
from gamekeeper.db.models import AuthenticatorRow, UserRow
from gamekeeper.db.repositories.authenticator import AuthenticatorRepository
from gamekeeper.db.repositories.secret import SecretRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.user import SessionHow, authenticator_context
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, InvalidError
from gamekeeper.keys import hash_key
from gamekeeper.passwords import make_password
from gamekeeper.ports.master_keys import MasterKeys, WrappedKey

STEP_SECONDS, WINDOW = 30, 1  # a code of the step before or after is taken as well: clocks differ
RECOVERY_CODES = 10
ISSUER = "Gamekeeper"
WRONG_CODE = "wrong_code"


@dataclass(frozen=True)
class Proof:
    """A proof once more, before the authenticator is changed: the password, and a code where there is one already."""

    password: str
    code: str = ""


@dataclass(frozen=True)
class Seen:
    """A user whose password was right. The attempt counts as wrong until the code was right as well."""

    user: UserRow
    attempt: Attempt


class SecondFactor:
    def __init__(
        self,
        changes: Changes,
        keys: MasterKeys,
        hashing: PasswordHashing,
        rates: SignInRates,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._changes = changes
        self._keys = keys
        self._hashing = hashing
        self._rates = rates
        self._now = now

    async def take(self, session: AsyncSession, user: UserRow, code: str) -> SessionHow | None:
        """Takes a code of a user's authenticator, or one of its recovery codes. None for a wrong one, and for one that
        was taken before. The transaction holds the user."""
        authenticators, plain = AuthenticatorRepository(session), re.sub(r"\s", "", code)
        if len(plain) > 6:
            is_good = await authenticators.take_recovery_code(user.id, _hash(user.id, plain))
            return SessionHow.RECOVERY_CODE if is_good else None
        row = await authenticators.find(user.id, is_confirmed=True)
        return SessionHow.TOTP if row is not None and await self._take(row, plain) else None

    async def enrol(self, by: Caller, proof: Proof, address: str) -> tuple[str, str]:
        """A new authenticator's secret, and the same as a URI for its camera. It counts once it is confirmed."""
        secret = secrets.token_bytes(20)
        seen = await self.proven(by, proof.password, address)
        async with self._changes.by(by) as session:
            row = await self.held(session, seen, proof.code)
            await SecretRepository(session).lock()  # no key that wraps now is forgotten meanwhile
            authenticators = AuthenticatorRepository(session)
            await authenticators.forget(row.id, is_confirmed=False)
            wrapped = await self._keys.wrap(secret, authenticator_context(row.id))
            authenticators.add(AuthenticatorRow(user_id=row.id, key_id=wrapped.key_id, wrapped=wrapped.data))
        totp = pyotp.TOTP(_base32(secret))
        return totp.secret, totp.provisioning_uri(name=seen.user.name, issuer_name=ISSUER)

    async def confirm(self, by: Caller, code: str) -> list[str]:
        """Turns the new authenticator on by its first code. The recovery codes, shown this once."""
        check_signed_in(by)
        codes = [make_password() for _ in range(RECOVERY_CODES)]
        async with self._changes.by(by) as session:
            user = await UserRepository(session).locked(by.user_id)
            authenticators = AuthenticatorRepository(session)
            row = await authenticators.find(user.id, is_confirmed=False)
            if row is None:
                raise ConflictError("there is no authenticator to confirm", hint="begin with a new one")
            if not await self._take(row, re.sub(r"\s", "", code)):
                raise InvalidError("the code is not of this authenticator", hint="see its clock", code=WRONG_CODE)
            on = AuthenticatorRow(
                user_id=user.id, is_confirmed=True, key_id=row.key_id, wrapped=row.wrapped, last_code=row.last_code
            )
            await authenticators.forget(user.id, is_confirmed=False)
            await authenticators.forget(user.id, is_confirmed=True)
            authenticators.add(on)
            await authenticators.set_recovery_codes(by.user_id, [_hash(by.user_id, one) for one in codes])
            user.has_totp = True
            _tell(session, user, "totp")
        return codes

    async def remove(self, by: Caller, proof: Proof, address: str) -> None:
        """Turns one's own authenticator off, with its recovery codes."""
        seen = await self.proven(by, proof.password, address)
        async with self._changes.by(by) as session:
            row = await self.held(session, seen, proof.code)
            await remove_authenticator(session, row)

    async def new_codes(self, by: Caller, proof: Proof, address: str) -> list[str]:
        """Recovery codes in the place of those of before."""
        seen, codes = await self.proven(by, proof.password, address), [make_password() for _ in range(RECOVERY_CODES)]
        async with self._changes.by(by) as session:
            row = await self.held(session, seen, proof.code)
            if not row.has_totp:
                raise ConflictError("there is no authenticator that these codes could stand for")
            await AuthenticatorRepository(session).set_recovery_codes(row.id, [_hash(row.id, one) for one in codes])
            _tell(session, row, "recovery_codes")
        return codes

    async def remove_of(self, by: Caller, user_id: str) -> None:
        """Turns somebody's authenticator off, for whoever has lost it. Raises NotFoundError, and ForbiddenError for a
        user who may more."""
        async with self._changes.by(by) as session:
            row = await UserRepository(session).locked(user_id)
            await check_reaches_user(session, by, row)
            await remove_authenticator(session, row)

    async def proven(self, by: Caller, password: str, address: str) -> Seen:
        """The user, whose password this is. Raises InvalidError for a wrong one and for one that ran out, and
        TooOftenError."""
        check_signed_in(by)
        async with self._changes.reading() as session:
            user = await UserRepository(session).get(by.user_id)
        check_is_person(user)
        network = network_of(address)
        attempt = self._rates.begin(user.name_key, network, is_known=True)
        if not await self._hashing.is_right(password, user.password_hash, network, is_known=True):
            raise InvalidError("the password is wrong", code="wrong_password")
        if not has_password(user):
            self._rates.undo(attempt)
            raise password_expired(InvalidError)
        return Seen(user, attempt)

    async def held(self, session: AsyncSession, seen: Seen, code: str | None) -> UserRow:
        """The same user within a transaction, once its code was taken too where it has an authenticator; none is asked
        for by None. Raises InvalidError for a wrong code, and ConflictError where the password is another one by now.
        """
        row = await UserRepository(session).locked(seen.user.id)
        if row.password_hash != seen.user.password_hash:
            raise ConflictError("the password was changed in this moment", hint="try again with the new one")
        if code is not None and row.has_totp and await self.take(session, row, code) is None:
            raise InvalidError("the code is wrong, or was taken before", hint="wait for the next", code=WRONG_CODE)
        self._rates.right(seen.attempt)
        return row

    async def _take(self, row: AuthenticatorRow, code: str) -> bool:
        secret = await self._keys.unwrap(WrappedKey(row.key_id, row.wrapped), authenticator_context(row.user_id))
        totp, now = pyotp.TOTP(_base32(secret)), int(self._now()) // STEP_SECONDS
        for number in range(now - WINDOW, now + WINDOW + 1):
            if number > row.last_code and hmac.compare_digest(totp.generate_otp(number).encode(), code.encode()):
                row.last_code = number
                return True
        return False


async def remove_authenticator(session: AsyncSession, user: UserRow) -> None:
    """Within a transaction that holds the user."""
    await AuthenticatorRepository(session).forget_all(user.id)
    if user.has_totp:
        user.has_totp = False
        _tell(session, user, "totp_removed")


def _tell(session: AsyncSession, user: UserRow, what: str) -> None:
    about = {"user": user.id, "replaced": [what]}
    record(session, Event(kind=EventKind.USER_CHANGED, message=user.name, data=about))


def _hash(user_id: str, code: str) -> str:
    """Of 100 random bits, so a fast one is right. No two users have one code."""
    return hash_key(f"{user_id} {code.strip().lower()}")


def _base32(secret: bytes) -> str:
    return base64.b32encode(secret).decode()
