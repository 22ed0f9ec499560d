"""Ceremonies of passkeys: the challenge that a browser is given, and that comes back signed within some minutes.

Nothing is kept of one that has begun, however many do: the challenge travels with whoever asked for it, sealed by a
master key, which all api processes share. It opens for the same browser or session alone, and for what it was given
for. Only a challenge that has let somebody in is noted, until it would have run out, so that none does so twice.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.passkey import PasskeyRepository
from gamekeeper.domain.access.passkey import CEREMONY_LIFETIME, Ceremony, RelyingParty, ceremony_context
from gamekeeper.errors import ConflictError, InvalidError
from gamekeeper.ports.master_keys import MasterKeys, WrappedKey

CHALLENGE_BYTES = 32
MAX_TICKET = 1000
EXPIRED, USED, WRONG_CEREMONY = "challenge_expired", "challenge_used", "wrong_ceremony"
_MARK = "."  # between the id of the key that has sealed a ticket and the rest


@dataclass(frozen=True)
class Begun:
    """``ticket`` is the sealed challenge, which comes back beside the answer."""

    ticket: str
    challenge: bytes
    rp: RelyingParty


@dataclass(frozen=True)
class Opened:
    """``about`` is what was said when it began: a user's name or id."""

    challenge: bytes
    until: datetime
    about: str
    rp: RelyingParty


class Ceremonies:
    """``rp`` is None where passkeys are not set up."""

    def __init__(self, keys: MasterKeys, rp: RelyingParty | None) -> None:
        self._keys = keys
        self._rp = rp
        self.are_set_up = rp is not None

    async def begin(self, ceremony: Ceremony, bound_to: str, about: str = "") -> Begun:
        """``bound_to`` is a secret of the browser, or a session. Raises ConflictError where passkeys are not set up."""
        rp, challenge = self._set_up(), secrets.token_bytes(CHALLENGE_BYTES)
        until = (utc_now() + CEREMONY_LIFETIME).timestamp()
        words = json.dumps({"challenge": challenge.hex(), "until": until, "about": about}).encode()
        sealed = await self._keys.wrap(words, ceremony_context(ceremony, bound_to))
        return Begun(f"{sealed.key_id}{_MARK}{to_base64url(sealed.data)}", challenge, rp)

    async def open(self, ticket: str, ceremony: Ceremony, bound_to: str) -> Opened:
        """Raises InvalidError for a ticket that was made up, that somebody else was given or for something else
        (``WRONG_CEREMONY``), and for one that ran out (``EXPIRED``); ConflictError where passkeys are not set up."""
        rp = self._set_up()
        key_id, _, data = ticket.partition(_MARK)
        try:
            sealed = WrappedKey(key_id, from_base64url(data))
            words = json.loads(await self._keys.unwrap(sealed, ceremony_context(ceremony, bound_to)))
        except (ConflictError, binascii.Error, ValueError):
            raise InvalidError(
                "this challenge was given to another browser or session, for something else, or to nobody",
                hint="ask for options anew, and answer them in the same browser",
                code=WRONG_CEREMONY,
            ) from None
        until = datetime.fromtimestamp(words["until"], UTC)
        if until <= utc_now():
            raise InvalidError("this challenge ran out", hint="ask for options anew", code=EXPIRED)
        return Opened(bytes.fromhex(words["challenge"]), until, words["about"], rp)

    async def spend(self, session: AsyncSession, opened: Opened) -> None:
        """Within the transaction that does what was asked for. Raises InvalidError for a challenge that was answered
        before."""
        if not await PasskeyRepository(session).spend(opened.challenge, opened.until, utc_now()):
            raise InvalidError("this challenge was answered before", hint="ask for options anew", code=USED)

    def _set_up(self) -> RelyingParty:
        if self._rp is None:
            raise ConflictError(
                "passkeys are not set up on this server",
                hint="give the api the host name of its pages: GAMEKEEPER_PASSKEY_RP_ID, see docs/access.md",
                code="no_passkeys",
            )
        return self._rp


def to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Raises ValueError for text that is none, or that writes its bytes in another way than ``to_base64url``."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(data) != text:
        raise ValueError("no base64url")
    return data
