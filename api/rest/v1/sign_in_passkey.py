"""The routes by which users sign in with a passkey; they need no key. A cookie ties the answer to the browser that was
given the challenge."""

from __future__ import annotations

import secrets

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from api.browser import ceremony_of_cookie, check_origin, cookie_before, set_ceremony_cookie
from api.dependencies import PasskeySignInsDep, SessionsDep
from api.problems import problems
from api.rest.body import Body
from api.rest.proof import PasskeyAnswer, PasskeyOptions
from api.rest.v1.sign_in import MAX_TYPED_NAME, Keeps, SignedIn, signed_in
from api.services.access.session import Whence
from gamekeeper.domain.access.passkey import CEREMONY_LIFETIME
from gamekeeper.errors import ConflictError, ForbiddenError, TooOftenError, UnauthenticatedError

router = APIRouter(tags=["sessions"])

REFUSALS = (UnauthenticatedError, ForbiddenError, ConflictError, TooOftenError)


class PasskeySignInBegin(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "mia"}]})

    name: str = Field(
        default="",
        max_length=MAX_TYPED_NAME,
        description="Name of the user, where one was typed: a passkey of somebody else is refused then. The answer is "
        "the same for a name that is nobody's",
    )


class PasskeySignIn(PasskeyAnswer):
    keeps: Keeps = Field(
        default=Keeps.COOKIE, description="`cookie` for a browser; `token` for a program, which sends it as a key"
    )


@router.post("/sign-in/passkey/options", responses=problems(*REFUSALS))
async def begin_passkey_sign_in(
    body: PasskeySignInBegin, request: Request, response: Response, sign_ins: PasskeySignInsDep
) -> PasskeyOptions:
    """Options for `navigator.credentials.get`, of any passkey of this server. Nothing is kept of them here."""
    check_origin(request.scope)
    browser = ceremony_of_cookie(request.scope) or secrets.token_urlsafe(32)
    set_ceremony_cookie(response, request.scope, browser, 2 * int(CEREMONY_LIFETIME.total_seconds()))
    response.headers["Cache-Control"] = "no-store"
    return PasskeyOptions.of(await sign_ins.begin(body.name, browser, _address(request)))


@router.post("/sign-in/passkey", responses=problems(*REFUSALS))
async def begin_session_by_passkey(
    body: PasskeySignIn, request: Request, response: Response, sign_ins: PasskeySignInsDep, sessions: SessionsDep
) -> SignedIn:
    """Begins a session by a passkey. It counts as both factors: no code is asked for."""
    check_origin(request.scope)
    whence = Whence(_address(request), request.headers.get("user-agent", ""), cookie_before(request.scope))
    begun = await sign_ins.sign_in(body.answered(ceremony_of_cookie(request.scope)), whence)
    return signed_in(begun, sessions, body.keeps, request, response)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
