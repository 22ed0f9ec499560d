"""Answers of authenticators, as they are checked: beside the event loop, by a library that is loaded with the first of
them. It takes a tenth of a second to load, which a start without passkeys need not pay."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from api.services.access.ceremonies import Opened
from gamekeeper.errors import InvalidError

Answer = dict[str, Any]  # a PublicKeyCredential as browsers write it: its toJSON()

WRONG_ANSWER, WRONG_CHALLENGE, WRONG_ORIGIN, WRONG_RP = "wrong_answer", "wrong_challenge", "wrong_origin", "wrong_rp"
UNVERIFIED, CLONED = "user_unverified", "passkey_cloned"


@dataclass(frozen=True)
class NewCredential:
    credential_id: str
    public_key: bytes
    sign_count: int
    is_synced: bool


@dataclass(frozen=True)
class Use:
    """``user_handle`` is the user whose the authenticator says it is; empty for none."""

    sign_count: int
    user_handle: str


async def check_new(answer: Answer, opened: Opened) -> NewCredential:
    """The credential that an authenticator has made. Raises InvalidError."""

    def work() -> NewCredential:
        from api.services.access import webauthn_checks  # the library behind it is large

        return webauthn_checks.check_new(answer, opened)

    return await asyncio.to_thread(work)


async def check_use(answer: Answer, opened: Opened, public_key: bytes) -> Use:
    """The use of a credential with this key. Its count is another matter (``check_count``). Raises InvalidError."""

    def work() -> Use:
        from api.services.access import webauthn_checks  # the library behind it is large

        return webauthn_checks.check_use(answer, opened, public_key)

    return await asyncio.to_thread(work)


def check_count(before: int, now: int) -> None:
    """Raises InvalidError for a count that does not grow. Authenticators that don't count tell 0 for ever."""
    if (before or now) and now <= before:
        raise InvalidError(
            "this passkey was used elsewhere in between: somebody may have a copy of it",
            hint="sign in another way, remove it, and add another one",
            code=CLONED,
        )


def wrong_answer(words: str = "the answer is not of this passkey, or was changed on its way") -> InvalidError:
    return InvalidError(words, hint="ask for options anew, and answer those", code=WRONG_ANSWER)
