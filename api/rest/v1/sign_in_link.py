"""The route by which a link signs in, once; it needs no key. A browser gets a cookie by it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from api.browser import check_origin
from api.dependencies import SessionsDep, SignInLinksDep
from api.problems import problems
from api.rest.body import Body
from api.rest.v1.sign_in import Keeps, SignedIn, signed_in, whence_of
from gamekeeper.errors import ForbiddenError, TooOftenError, UnauthenticatedError

router = APIRouter(tags=["sessions"])


class LinkSignIn(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"link": "gkl_Wm8tT0vTqJ9mC7c2kq5n1Y3oZr4xUe6bHd0sFa8gLpE"}]}
    )

    link: str = Field(
        max_length=128, description="The token of the link: what stands behind `#sign-in=` in its address"
    )


@router.post("/sign-in/link", responses=problems(UnauthenticatedError, ForbiddenError, TooOftenError))
async def begin_session_by_link(
    body: LinkSignIn, request: Request, response: Response, links: SignInLinksDep, sessions: SessionsDep
) -> SignedIn:
    """Begins a session in a cookie by a link, which is good once."""
    check_origin(request.scope)
    return signed_in(await links.sign_in(body.link, whence_of(request)), sessions, Keeps.COOKIE, request, response)
