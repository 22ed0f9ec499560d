"""The route by which users sign in; it needs no key. What a browser gets is a cookie, which no page's code can read."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.browser import check_origin, cookie_before, set_cookie
from api.dependencies import SessionsDep, SignInsDep
from api.problems import problems
from api.rest.body import Body
from api.services.access.session import Begun, SessionService, Whence
from api.services.access.sign_in import Claim
from gamekeeper.domain.access.password import MAX_BYTES
from gamekeeper.errors import ForbiddenError, TooOftenError, UnauthenticatedError
from gamekeeper.keys import csrf_token

router = APIRouter(tags=["sessions"])

MAX_TYPED_NAME = 256


class Keeps(StrEnum):
    """The form in which the caller keeps the session's token."""

    COOKIE = "cookie"
    TOKEN = "token"


class SignIn(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "admin", "password": "k7xpd-m3q8a-vh2ny-c9tef"}]}
    )

    name: str = Field(max_length=MAX_TYPED_NAME, description="Name of the user, whatever its capitals")
    password: str = Field(max_length=MAX_BYTES, description="The password of the user")
    code: str = Field(
        default="",
        max_length=64,
        description="A code of the user's authenticator, or a recovery code. Where the user has one, the answer "
        "without is 401 with the code `code_needed`.",
    )
    new_password: str = Field(
        default="",
        max_length=MAX_BYTES,
        description="Takes the place of a password that is good for one sign-in: without it the answer is 401 with the "
        "code `password_change_needed`",
    )
    keeps: Keeps = Field(
        default=Keeps.COOKIE, description="`cookie` for a browser; `token` for a program, which sends it as a key"
    )


class SignedIn(BaseModel):
    user: str = Field(description="Name of the user")
    user_id: str
    session_id: str
    expires_at: datetime = Field(description="The end of the session, if it is not used before")
    token: str = Field(description="The session's token, shown this once; empty where a cookie has it")
    csrf_token: str = Field(description="What a page sends as `X-CSRF-Token` with all that writes")


@router.post("/sign-in", responses=problems(UnauthenticatedError, ForbiddenError, TooOftenError))
async def begin_session(
    body: SignIn, request: Request, response: Response, sign_ins: SignInsDep, sessions: SessionsDep
) -> SignedIn:
    """Begins a session. Each wrong password makes the next attempts wait longer, a minute at most."""
    check_origin(request.scope)
    begun = await sign_ins.sign_in(Claim(body.name, body.password, body.code, body.new_password), whence_of(request))
    return signed_in(begun, sessions, body.keeps, request, response)


def whence_of(request: Request) -> Whence:
    address = request.client.host if request.client else ""
    return Whence(address, request.headers.get("user-agent", ""), cookie_before(request.scope))


def signed_in(begun: Begun, sessions: SessionService, keeps: Keeps, request: Request, response: Response) -> SignedIn:
    """The answer of every way to sign in, with the session's cookie where one is asked for."""
    row, in_cookie = begun.session, keeps is Keeps.COOKIE
    if in_cookie:
        set_cookie(response, request.scope, begun.token, int(sessions.terms.longest.total_seconds()))
    response.headers["Cache-Control"] = "no-store"
    return SignedIn(
        user=begun.user.name,
        user_id=begun.user.id,
        session_id=row.id,
        expires_at=sessions.terms.end(row.created_at, row.last_used_at),
        token="" if in_cookie else begun.token,
        csrf_token=csrf_token(begun.token) if in_cookie else "",
    )
