"""Credentials as they open the door: whoever may call, for as long as its credential is good."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from api.services.access.caller_use import CallerUses
from api.services.access.held_call import HeldCall, HeldCalls
from api.services.access.known_callers import KnownCallers
from api.services.access.rates import Rates
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.verb import Verb
from gamekeeper.errors import GamekeeperError, UnauthenticatedError, UnavailableError
from gamekeeper.keys import hash_key, is_session_token

LOOK_SECONDS = 1.0  # that a round waits for the database; what it says later counts in the next one

_HINT = "send the header Authorization: Bearer KEY, or sign in; `gamekeeper status --json` names the key's file"

_METRICS_HINT = "give GAMEKEEPER_METRICS_KEY to the api, and send it as Authorization: Bearer KEY; see docs/fleet.md"


def _bearer(authorization: str) -> str:
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


class CallerCall(HeldCall[Caller]):
    """One call of a caller."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller, _refusal)
        self._goes_on: list[tuple[Callable[[Access], bool], GamekeeperError]] = []

    def ends_unless(self, goes_on: Callable[[Access], bool], refusal: GamekeeperError) -> None:
        """The call is ended with ``refusal`` as soon as that is no longer so of what its caller may do."""
        self._goes_on.append((goes_on, refusal))

    def look(self, now: Caller) -> None:
        """``now`` is its caller as known by now."""
        for goes_on, refusal in self._goes_on:
            if not goes_on(now.access):
                self.end(refusal)


class CallerService:
    """``metrics_key`` reads the metrics and nothing else; empty where there is none. ``watch`` is to be called every
    second: it ends what goes on for a key that is no longer good, or that a grant no longer lets go on."""

    def __init__(self, known: KnownCallers, uses: CallerUses, rates: Rates, metrics_key: str = "") -> None:
        self._known = known
        self._uses = uses
        self._rates = rates
        self._metrics_hash = hash_key(metrics_key) if metrics_key else ""
        self._calls = HeldCalls(self._is_good, CallerCall)
        self._looking: asyncio.Task[None] | None = None

    async def authenticate_metrics(self, authorization: str, address: str) -> None:
        """Passes the key of the metrics, and callers that may see the server. Raises as ``authenticate`` does."""
        key = _bearer(authorization)
        if not key:
            raise UnauthenticatedError("the metrics need a key", hint=_METRICS_HINT)
        if not self._metrics_hash or not hmac.compare_digest(hash_key(key), self._metrics_hash):
            caller = await self.authenticate(authorization, address)
            caller.check(Verb.SEE, also="they tell of all nodes and pipelines")

    async def authenticate(self, authorization: str, address: str) -> Caller:
        """The caller of a header. Raises UnauthenticatedError for none and for one that is not good, TooOftenError for
        an address that brought too many of those.

        Only the hash is compared, by a look-up, so timing tells nothing of the key.
        """
        return await self.authenticate_secret(_bearer(authorization), address)

    async def authenticate_secret(self, secret: str, address: str) -> Caller:
        """As ``authenticate``, of an API key or a session's token."""
        if not secret:
            raise UnauthenticatedError("an API key is needed", hint=_HINT)
        secret_hash = hash_key(secret)
        if not self._known.has(secret_hash) and not self._rates.may_sign_in(address):
            # a right one passes: whoever guesses behind the same address, or proxy, must not lock its owner out
            if not await self._known.is_among_all(secret_hash):
                self._rates.check_sign_in(address)
        found = await self._known.find(secret_hash)
        if found is None:
            self._rates.wrong(address)
            raise _unknown(secret)
        self._uses.note(found, address)
        return found

    def held(self, caller: Caller) -> AbstractContextManager[CallerCall]:
        """A call that may go on for long, which is told when its credential is no longer good."""
        return self._calls.held(caller)

    async def watch(self) -> None:
        """An end that is known needs no database, so one that does not answer holds up no end."""
        looking = self._looking or asyncio.create_task(self._look())
        self._looking = looking
        try:
            await asyncio.wait({looking}, timeout=LOOK_SECONDS)
        except asyncio.CancelledError:
            looking.cancel()
            raise
        await self._calls.watch()
        for call in list(self._calls):
            if (now := self._known.seen(call.credential.secret_hash)) is not None:
                call.look(now)
        if looking.done():
            self._looking = None
            looking.result()

    async def _look(self) -> None:
        with suppress(UnavailableError):  # nobody is thrown out because the database is away
            await self._known.refresh(call.credential.secret_hash for call in self._calls)
        self._known.forget_unused(but={call.credential.secret_hash for call in self._calls})

    async def _is_good(self, caller: Caller) -> bool:
        """False also where the caller may do something else by now: what goes on by earlier rights ends."""
        seen = self._known.seen(caller.secret_hash)
        return seen is not None and seen.role == caller.role


def _unknown(secret: str) -> UnauthenticatedError:
    if is_session_token(secret):
        return UnauthenticatedError("the session has ended", hint="sign in again", code="session_ended")
    return UnauthenticatedError("the API key is not known here, was revoked or ran out", hint=_HINT)


def _refusal(caller: Caller) -> UnauthenticatedError:
    if caller.session_id:
        return UnauthenticatedError(
            f"the session of {caller.words} ended, or may do something else now", hint="sign in again"
        )
    return UnauthenticatedError(f"{caller.words} was revoked or ran out", hint="use another key")
