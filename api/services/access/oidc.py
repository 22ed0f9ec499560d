"""The sign-in by an OpenID provider: begun in a browser, which comes back from the provider with a code.

A sign-in that is under way is a row, taken once. The browser keeps a secret in a cookie, of which the row has the hash:
whoever has somebody else's address of return can't go on with it. Nonce and verifier come from both, and are stored
nowhere. A program on the browser's machine (``gamekeeper login --oidc``) gets a code by a redirect to loopback
(RFC 8252), and fetches its session by that and by a secret of its own.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from api.services.access.oidc_user import NO_GROUP, OidcUsers
from api.services.access.rates import network_of
from api.services.access.session import Begun, SessionService, Whence
from api.services.access.sign_in_failures import SignInFailures
from api.services.bucket import Buckets
from gamekeeper.db.engine import Database
from gamekeeper.db.models import OidcAttemptRow, OidcCodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.identity import IdentityRepository
from gamekeeper.db.repositories.oidc_attempt import OidcAttemptRepository
from gamekeeper.db.repositories.session import SessionRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.oidc import ATTEMPT_LIFETIME, CODE_LIFETIME, OidcRules, Recognised
from gamekeeper.domain.access.user import SessionHow
from gamekeeper.errors import GamekeeperError, InvalidError, TooOftenError, UnauthenticatedError
from gamekeeper.keys import hash_key
from gamekeeper.logging import get_logger
from gamekeeper.pkce import challenge_of, derived, is_verifier
from gamekeeper.ports.oidc_provider import OidcProvider

log = get_logger(__name__)

PER_SECOND, BURST = 1.0, 60.0  # of one address
NOT_BEGUN = "oidc_not_begun"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_ERROR = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class Asked:
    """The wish of somebody who begins a sign-in. ``browser`` is the secret that its browser has already; ``token`` that
    of the session which the new one takes the place of. ``port`` is of a program that waits on that machine."""

    return_to: str = "/"
    browser: str = ""
    token: str = ""
    port: int = 0
    challenge: str = ""


@dataclass(frozen=True)
class Returned:
    """The words that a browser brings back from the provider."""

    state: str
    code: str
    error: str
    issuer: str | None


@dataclass(frozen=True)
class Finished:
    """The address to which the browser goes on, and its session; None where a program fetches it."""

    url: str
    begun: Begun | None


class OidcSignIns:
    def __init__(
        self,
        database: Database,
        changes: Changes,
        sessions: SessionService,
        provider: OidcProvider,
        rules: OidcRules,
        public_url: str,
        failures: SignInFailures,
    ) -> None:
        self._database = database
        self._changes = changes
        self._sessions = sessions
        self._provider = provider
        self._users = OidcUsers(rules, changes.ways)
        self._failures = failures
        self._buckets = Buckets(PER_SECOND, BURST)
        self.button = rules.button
        self.public_url = public_url

    async def begin(self, asked: Asked, address: str) -> tuple[str, str]:
        """The provider's address, and the secret that the browser keeps. Raises TooOftenError, InvalidError for an
        address of return that is none of ours, and UnavailableError where the provider is away."""
        self._check_rate(address)
        check_return_to(asked.return_to)
        browser = asked.browser if _SECRET.fullmatch(asked.browser) else secrets.token_urlsafe(32)
        state = secrets.token_urlsafe(32)
        try:
            url = await self._provider.authorization_url(
                state, _nonce(browser, state), challenge_of(_verifier(browser, state))
            )
        except GamekeeperError as error:
            await self._tell(error, address)
            raise
        async with self._database.write() as session:
            attempts, now = OidcAttemptRepository(session), utc_now()
            await attempts.delete_before(now - ATTEMPT_LIFETIME, now - CODE_LIFETIME)
            await attempts.add(
                OidcAttemptRow(
                    state_hash=hash_key(state),
                    browser_hash=hash_key(browser),
                    return_to=asked.return_to,
                    session_before=await _session_id(session, asked.token),
                    port=asked.port,
                    challenge=asked.challenge,
                )
            )
        return url, browser

    async def finish(self, returned: Returned, browser: str, whence: Whence) -> Finished:
        """Takes the sign-in that this browser began. A program that waits hears what was wrong, too.

        Raises UnauthenticatedError, ForbiddenError, ConflictError, TooOftenError and UnavailableError."""
        attempt = None
        if _SECRET.fullmatch(returned.state) and _SECRET.fullmatch(browser):
            self._check_rate(whence.address)
            attempt = await self._taken(hash_key(returned.state), hash_key(browser))
        if attempt is None:
            raise UnauthenticatedError(
                "this sign-in was not begun in this browser, was finished before, or took too long",
                hint=f"begin it again at {self.public_url}",
                code=NOT_BEGUN,
            )
        try:
            return await self._finish(attempt, returned, browser, whence)
        except GamekeeperError as error:
            if not attempt.port:
                raise
            return Finished(_loopback(attempt, error=str(error)[:500]), None)

    async def redeem(self, code: str, verifier: str, whence: Whence) -> Begun:
        """The session of a program, by its code. Raises UnauthenticatedError for a code or a verifier that is wrong,
        and ForbiddenError for a user that is disabled."""
        self._check_rate(whence.address)
        async with self._database.read() as session:
            is_known = await OidcAttemptRepository(session).find_code(hash_key(code)) is not None
        if is_known:
            async with self._changes.anybody() as session:  # in one, so that no code outlives the sessions of its user
                row = await OidcAttemptRepository(session).take_code(hash_key(code), utc_now() - CODE_LIFETIME)
                if row is not None and is_verifier(verifier, row.challenge):
                    user = await UserRepository(session).locked(row.user_id)
                    return await self._sessions.begin(session, user, SessionHow.OIDC, whence)
        raise UnauthenticatedError(
            "this code is not known, was taken before or is too old", hint="begin the sign-in again", code=NOT_BEGUN
        )

    async def end_session_url(self) -> str:
        """The address at which a browser ends its session at the provider; empty where that can't be told now."""
        try:
            return await self._provider.end_session_url()
        except GamekeeperError as error:
            log.warning("a sign-out is not told to the provider: %s", error)
            return ""

    async def _taken(self, state_hash: str, browser_hash: str) -> OidcAttemptRow | None:
        """Read first, so that who makes up words writes nothing."""
        async with self._database.read() as session:
            if await OidcAttemptRepository(session).find(state_hash, browser_hash) is None:
                return None
        async with self._database.write() as session:
            return await OidcAttemptRepository(session).take(state_hash, browser_hash, utc_now() - ATTEMPT_LIFETIME)

    async def _finish(self, attempt: OidcAttemptRow, returned: Returned, browser: str, whence: Whence) -> Finished:
        who: Recognised | None = None
        try:
            who = await self._recognised(returned, browser)
            async with self._changes.anybody() as session:
                user = await self._users.settle(session, who, whence.address)
                if attempt.port:
                    code = secrets.token_urlsafe(32)
                    kept = OidcCodeRow(code_hash=hash_key(code), challenge=attempt.challenge, user_id=user.id)
                    OidcAttemptRepository(session).add_code(kept)
                    return Finished(_loopback(attempt, code=code), None)
                begun = await self._sessions.begin(session, user, SessionHow.OIDC, whence)
                if attempt.session_before:
                    ended_by = f"user:{user.name}"
                    await SessionRepository(session).end([attempt.session_before], utc_now(), ended_by)
                return Finished(attempt.return_to, begun)
        except GamekeeperError as error:
            await self._tell(error, whence.address, who)
            if error.code == NO_GROUP and who is not None:
                await self._end_sessions(who)
            raise

    async def _recognised(self, returned: Returned, browser: str) -> Recognised:
        if not returned.code:
            told = returned.error if _ERROR.fullmatch(returned.error) else "no code"
            raise UnauthenticatedError(
                f"the provider let nobody in ({told})", hint="sign in again", code="oidc_refused"
            )
        verifier, nonce = _verifier(browser, returned.state), _nonce(browser, returned.state)
        return await self._provider.recognise(returned.code, verifier, nonce, returned.issuer)

    async def _end_sessions(self, who: Recognised) -> None:
        """Of somebody whom no group lets in any more: those that the provider had vouched for."""
        async with self._changes.anybody() as session:
            identity = await IdentityRepository(session).find(who.issuer, who.subject)
            if identity is not None:
                user = await UserRepository(session).locked(identity.user_id)
                await self._sessions.end_all(session, user, NO_GROUP, how=SessionHow.OIDC)

    async def _tell(self, error: GamekeeperError, address: str, who: Recognised | None = None) -> None:
        """The subject is told, so that an admin can link it."""
        log.warning("a sign-in by the provider failed: %s", error.message)
        user, about = None, {"issuer": who.issuer, "subject": who.subject} if who is not None else {}
        if who is not None:
            async with self._database.read() as session:
                identity = await IdentityRepository(session).find(who.issuer, who.subject)
                user = await UserRepository(session).find(identity.user_id) if identity is not None else None
        await self._failures.tell(user, network_of(address), address, error.code, **about)

    def _check_rate(self, address: str) -> None:
        if wait := self._buckets.of(network_of(address)).try_take():
            raise TooOftenError("too many sign-ins by the provider come from this address", after_seconds=wait)


def check_return_to(path: str) -> None:
    """Raises InvalidError for what a browser would take for the address of another site."""
    is_own = path.startswith("/") and not path.startswith("//") and path.isascii() and path.isprintable()
    if not is_own or "\\" in path or " " in path:
        raise InvalidError("return_to is no path of this server", hint="as /nodes?status=online")


async def _session_id(session: AsyncSession, token: str) -> str:
    found = await SessionRepository(session).find_by_hash(hash_key(token)) if token else None
    return found.id if found is not None else ""


def _verifier(browser: str, state: str) -> str:
    return derived(browser, f"verifier {state}")


def _nonce(browser: str, state: str) -> str:
    return derived(browser, f"nonce {state}")


def _loopback(attempt: OidcAttemptRow, **found: str) -> str:
    return f"http://127.0.0.1:{attempt.port}/?{urlencode({'challenge': attempt.challenge} | found)}"
