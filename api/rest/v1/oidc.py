"""Routes of the sign-in by an OpenID provider; they need no key. A browser goes to the provider and comes back."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ConfigDict, Field
from starlette.requests import cookie_parser

from api.browser import cookie_before, set_cookie
from api.dependencies import OidcDep, SessionsDep
from api.problems import Responses, problems
from api.rest.body import Body
from api.rest.sign_in_page import failure_page, is_for_people
from api.rest.v1.sign_in import Keeps, SignedIn, signed_in, whence_of
from api.services.access.oidc import Asked, OidcSignIns, Returned
from gamekeeper.domain.access.oidc import ATTEMPT_LIFETIME
from gamekeeper.errors import (
    ConflictError,
    ForbiddenError,
    GamekeeperError,
    InvalidError,
    NotFoundError,
    TooOftenError,
    UnauthenticatedError,
)
from gamekeeper.pkce import CHALLENGE_LENGTH, CHALLENGE_PATTERN

router = APIRouter(tags=["sessions"])
returns = APIRouter(tags=["sessions"])  # a provider may add to the query what it likes

COOKIE = "__Host-gk_oidc"  # as of the session's cookie, but sent when a browser comes back from another site
PLAIN_COOKIE = "gk_oidc"
_ELSEWHERE: Responses = {303: {"description": "See Location"}}
_TOO_LONG: Responses = {431: {"description": "The address has more than the server reads of one"}}
_REFUSALS = problems(NotFoundError, ForbiddenError, ConflictError, TooOftenError)
_CHALLENGE = re.compile(CHALLENGE_PATTERN)


class Redeem(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"code": "V3cR0sD4fQ", "verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}]
        },
    )

    code: str = Field(max_length=128, description="The code that came by the redirect to the program")
    verifier: str = Field(max_length=128, description="The secret whose challenge the program gave at the beginning")


@router.get(
    "/sign-in/oidc",
    status_code=status.HTTP_303_SEE_OTHER,
    response_class=RedirectResponse,
    responses={**_ELSEWHERE, **_REFUSALS},
)
async def begin_oidc_sign_in(
    request: Request,
    oidc: OidcDep,
    return_to: Annotated[
        str, Query(max_length=500, description="Path of this server at which the browser ends, as `/nodes`")
    ] = "/",
    port: Annotated[
        int, Query(ge=0, le=65_535, description="Of a program: the port of loopback at which it waits for a code")
    ] = 0,
    challenge: Annotated[
        str,
        Query(max_length=CHALLENGE_LENGTH, description="Of a program: the SHA-256 of its verifier, as base64url"),
    ] = "",
) -> Response:
    """Sends a browser to the provider. It comes back to be signed in, within ten minutes."""
    if bool(port) != bool(challenge) or 0 < port < 1024 or (challenge and not _CHALLENGE.fullmatch(challenge)):
        raise InvalidError("a program gives a port from 1024 on, and a challenge", hint="gamekeeper login --oidc")
    asked = Asked(return_to, _cookie(request, oidc), cookie_before(request.scope), port, challenge)
    try:
        url, browser = await oidc.begin(asked, whence_of(request).address)
    except GamekeeperError as error:
        return _page_or_raise(request, error)
    response = _to(url)
    response.set_cookie(
        _cookie_name(oidc),
        browser,
        max_age=int(ATTEMPT_LIFETIME.total_seconds()),
        path="/",
        secure=_is_secure(oidc),
        httponly=True,
        samesite="lax",
    )
    return response


@returns.get(
    "/sign-in/oidc/callback",
    status_code=status.HTTP_303_SEE_OTHER,
    response_class=RedirectResponse,
    responses={**_ELSEWHERE, **_REFUSALS, **_TOO_LONG},
)
async def end_oidc_sign_in(
    request: Request,
    oidc: OidcDep,
    sessions: SessionsDep,
    state: Annotated[str, Query(max_length=128, description="Names the sign-in that is under way")] = "",
    code: Annotated[str, Query(max_length=4096, description="The provider's code")] = "",
    error: Annotated[str, Query(max_length=128, description="The provider's reason for giving none")] = "",
    iss: Annotated[str | None, Query(max_length=512, description="The issuer that gave the code")] = None,
) -> Response:
    """Signs a browser in that comes back from the provider: it gets its session as a cookie, and goes on."""
    try:
        finished = await oidc.finish(Returned(state, code, error, iss), _cookie(request, oidc), whence_of(request))
        response = _to(finished.url)
        if finished.begun is not None:
            seconds = int(sessions.terms.longest.total_seconds())
            set_cookie(response, request.scope, finished.begun.token, seconds, is_secure=_is_secure(oidc))
        return response
    except GamekeeperError as found:
        return _page_or_raise(request, found)


@router.post("/sign-in/oidc", responses=problems(NotFoundError, UnauthenticatedError, ForbiddenError, TooOftenError))
async def begin_oidc_session(
    body: Redeem, request: Request, response: Response, oidc: OidcDep, sessions: SessionsDep
) -> SignedIn:
    """Gives a program its session, once, by the code that its browser brought to it within two minutes."""
    begun = await oidc.redeem(body.code, body.verifier, whence_of(request))
    return signed_in(begun, sessions, Keeps.TOKEN, request, response)


def _to(url: str) -> RedirectResponse:
    return RedirectResponse(
        url, status.HTTP_303_SEE_OTHER, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )


def _page_or_raise(request: Request, error: GamekeeperError) -> HTMLResponse:
    if is_for_people(request):
        return failure_page(error)
    raise error


def _is_secure(oidc: OidcSignIns) -> bool:
    return oidc.public_url.startswith("https:")


def _cookie_name(oidc: OidcSignIns) -> str:
    """The plain one is for loopback alone: on a real host, a neighbour's host could have set it."""
    return COOKIE if _is_secure(oidc) else PLAIN_COOKIE


def _cookie(request: Request, oidc: OidcSignIns) -> str:
    return cookie_parser(request.headers.get("cookie", "")).get(_cookie_name(oidc), "")
