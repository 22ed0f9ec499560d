"""The local sign-in, by a name and a password, and a code where the user has an authenticator.

It takes the same time whether or not there is such a user, and says the same of both.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from api.services.access.password_hashing import PasswordHashing
from api.services.access.rates import network_of
from api.services.access.second_factor import WRONG_CODE, SecondFactor
from api.services.access.session import KEPT_AFTER_END, Begun, SessionService, Whence
from api.services.access.sign_in_failures import SignInFailures
from api.services.access.sign_in_rates import SignInRates
from api.services.access.user import check_new_password, has_password, password_expired
from gamekeeper.db.engine import Database
from gamekeeper.db.models import UserRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.user import SessionHow, UserKind, UserState
from gamekeeper.domain.access.user_name import name_key
from gamekeeper.errors import ForbiddenError, GamekeeperError, InvalidError, UnauthenticatedError
from gamekeeper.passwords import is_outdated

CHANGE_NEEDED = "password_change_needed"
CODE_NEEDED = "code_needed"


@dataclass(frozen=True)
class Claim:
    """A claim to be a user. ``code`` is of its authenticator, or a recovery code. ``new_password`` takes the place of a
    password that is good once."""

    name: str
    password: str
    code: str = ""
    new_password: str = ""


class SignInService:
    def __init__(
        self,
        database: Database,
        changes: Changes,
        sessions: SessionService,
        hashing: PasswordHashing,
        rates: SignInRates,
        second: SecondFactor,
        failures: SignInFailures,
    ) -> None:
        self._database = database
        self._changes = changes
        self._sessions = sessions
        self._hashing = hashing
        self._rates = rates
        self._second = second
        self._failures = failures

    def check_address(self, address: str) -> None:
        """Raises TooOftenError for an address that has to wait."""
        self._rates.check_address(network_of(address))

    async def sign_in(self, claim: Claim, whence: Whence) -> Begun:
        """A new session. Raises UnauthenticatedError for a wrong name, password or code, and for what is still needed
        beside a right password (``CODE_NEEDED``, ``CHANGE_NEEDED``); TooOftenError; ForbiddenError for a user that is
        disabled; InvalidError for a new password that is none."""
        network = network_of(whence.address)
        user, is_known = await self._find(claim.name, network)
        attempt = self._rates.begin(name_key(claim.name), network, is_known=is_known)
        try:
            begun = await self._check_and_begin(claim, user, whence, is_known=is_known)
        except _WrongError as wrong:
            await self._failures.tell(user, network, whence.address, wrong.code)
            raise UnauthenticatedError(wrong.message, code=wrong.code) from None
        except GamekeeperError:
            self._rates.undo(attempt)
            raise
        self._rates.right(attempt)
        return begun

    async def _find(self, name: str, network: str) -> tuple[UserRow | None, bool]:
        """The user of the name, and whether it has signed in from there before."""
        async with self._database.read() as session:
            users = UserRepository(session)
            user = await users.find_named(name_key(name))
            addresses = await users.addresses(user.id if user else "", utc_now() - KEPT_AFTER_END)
        return user, network in {network_of(address) for address in addresses}

    async def _check_and_begin(self, claim: Claim, user: UserRow | None, whence: Whence, *, is_known: bool) -> Begun:
        network, password_hash = network_of(whence.address), _password_hash(user)
        is_right = await self._hashing.is_right(claim.password, password_hash, network, is_known=is_known)
        if not is_right or user is None:
            raise _WrongError("the name or the password is wrong", code="wrong_password")
        if user.state != UserState.ACTIVE:
            raise ForbiddenError(f'the user "{user.name}" is disabled', hint="an admin can enable it")
        if not has_password(user):
            raise password_expired(UnauthenticatedError)
        if user.has_totp and not claim.code:
            raise UnauthenticatedError(
                "a code of the authenticator is needed", hint="send it as code", code=CODE_NEEDED
            )
        replaced = await self._replacement(claim, user, network)
        async with self._changes.anybody() as session:
            row = await self._unchanged(session, user)
            how = await self._second.take(session, row, claim.code) if row.has_totp else SessionHow.PASSWORD
            if how is None:
                raise _WrongError("the code is wrong, or was taken before", code=WRONG_CODE)
            if replaced:
                row.password_hash = replaced
            if claim.new_password:
                row.must_change, row.password_until = False, None
            return await self._sessions.begin(session, row, how, whence)

    async def _replacement(self, claim: Claim, user: UserRow, network: str) -> str:
        """The hash that takes the place of the user's; empty where it stays."""
        if claim.new_password:
            if not user.must_change:
                raise InvalidError("this password does not have to be replaced", hint="sign in without a new_password")
            check_new_password(claim.new_password, user.name)
            if claim.new_password == claim.password:
                raise UnauthenticatedError("the new password is the old one", hint="choose another", code=CHANGE_NEEDED)
            return await self._hashing.hash(claim.new_password, network)
        if user.must_change:
            raise UnauthenticatedError(
                "this password is good for one sign-in, which replaces it",
                hint="send a new_password beside it",
                code=CHANGE_NEEDED,
            )
        return await self._hashing.hash(claim.password, network) if is_outdated(user.password_hash) else ""

    async def _unchanged(self, session: AsyncSession, user: UserRow) -> UserRow:
        """The user, held. Raises _WrongError where the password has been changed since it was looked at."""
        row = await UserRepository(session).locked(user.id)
        if row.password_hash != user.password_hash:
            raise _WrongError("the name or the password is wrong", code="wrong_password")
        return row


class _WrongError(UnauthenticatedError):
    """A name or a password is wrong, and counts against whoever brought it."""


def _password_hash(user: UserRow | None) -> str:
    return user.password_hash if user is not None and user.kind == UserKind.PERSON else ""
