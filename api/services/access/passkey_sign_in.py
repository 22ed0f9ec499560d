"""The sign-in by a passkey. It counts as both factors, because the authenticator has asked who its user is.

Options say the same whatever name was typed: every passkey knows its user by itself, so none has to be listed, and
nobody learns from them who is a user. The name is sealed in the ticket, and compared once the passkey is proven.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.services.access.ceremonies import EXPIRED, Ceremonies
from api.services.access.changing import Changes
from api.services.access.passkey_answers import wrong_answer
from api.services.access.passkey_options import request_options
from api.services.access.passkey_use import Answered, PasskeyUses
from api.services.access.rates import network_of
from api.services.access.session import Begun, SessionService, Whence
from api.services.access.sign_in_failures import SignInFailures
from api.services.access.sign_in_rates import SignInRates
from api.services.access.user import check_is_person
from api.services.bucket import Buckets
from gamekeeper.db.models import PasskeyRow, UserRow
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.passkey import Ceremony, typed_name
from gamekeeper.domain.access.user import SessionHow
from gamekeeper.errors import ForbiddenError, GamekeeperError, InvalidError, TooOftenError, UnauthenticatedError

BEGUN_PER_SECOND, BEGUN_BURST = 1.0, 30.0  # of one address


@dataclass(frozen=True)
class Options:
    """``public_key`` is for the browser; ``ticket`` comes back with its answer."""

    ticket: str
    public_key: dict[str, Any]


class PasskeySignIn:
    def __init__(
        self,
        changes: Changes,
        ceremonies: Ceremonies,
        uses: PasskeyUses,
        sessions: SessionService,
        rates: SignInRates,
        failures: SignInFailures,
    ) -> None:
        self._changes = changes
        self._ceremonies = ceremonies
        self._uses = uses
        self._sessions = sessions
        self._rates = rates
        self._failures = failures
        self._begun = Buckets(BEGUN_PER_SECOND, BEGUN_BURST)

    @property
    def is_set_up(self) -> bool:
        return self._ceremonies.are_set_up

    async def begin(self, name: str, browser: str, address: str) -> Options:
        """Raises TooOftenError, and ConflictError where passkeys are not set up."""
        if wait := self._begun.of(network_of(address)).try_take():
            raise TooOftenError("too many sign-ins begin from this address", after_seconds=wait)
        begun = await self._ceremonies.begin(Ceremony.SIGN_IN, browser, typed_name(name))
        return Options(begun.ticket, request_options(begun))

    async def sign_in(self, answered: Answered, whence: Whence) -> Begun:
        """A new session. Raises UnauthenticatedError for an answer that is wrong in any way, ForbiddenError for a user
        that is disabled, TooOftenError, and ConflictError where passkeys are not set up."""
        network, found = network_of(whence.address), await self._uses.find(answered.answer)
        row, user = found or (None, None)
        attempt = self._rates.begin(user.name_key if user else "", network, is_known=True)
        try:
            begun = await self._check_and_begin(answered, row, user, whence)
        except InvalidError as wrong:
            if wrong.code == EXPIRED:  # somebody was slow
                self._rates.undo(attempt)
            else:
                await self._failures.tell(user, network, whence.address, wrong.code)
            raise UnauthenticatedError(wrong.message, hint=wrong.hint, code=wrong.code) from None
        except ForbiddenError:
            self._rates.undo(attempt)
            await self._failures.tell(user, network, whence.address, "disabled")
            raise
        except GamekeeperError:
            self._rates.undo(attempt)
            raise
        self._rates.right(attempt)
        return begun

    async def _check_and_begin(
        self, answered: Answered, row: PasskeyRow | None, user: UserRow | None, whence: Whence
    ) -> Begun:
        checked = await self._uses.check(Ceremony.SIGN_IN, answered, row)
        if user is not None:
            check_is_person(user)
            if checked.opened.about not in ("", typed_name(user.name)):
                raise wrong_answer("the passkey is not of the user whose name was typed")
        async with self._changes.anybody() as session:
            held = await UserRepository(session).locked(checked.user_id)
            await self._uses.take(session, checked, whence.address)
            return await self._sessions.begin(session, held, SessionHow.PASSKEY, whence)
