"""Routes of sessions: one's own, and for an admin those of all."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response, status
from pydantic import BaseModel, Field

from api.browser import remove_cookie
from api.dependencies import SAFE_ID, CallerDep, Cursor, Limit, ServicesDep, SessionsDep
from api.needs import needs_a_key
from api.problems import problems
from api.rest.items import shown_items
from api.services.access.session import SessionService
from gamekeeper.db.models import SessionRow
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.user import ME, SessionHow, SessionState
from gamekeeper.domain.access.verb import Verb
from gamekeeper.errors import InvalidError, NotFoundError

router = APIRouter(tags=["sessions"])

ALL = "all"
SessionId = Annotated[str, Path(max_length=16, pattern=SAFE_ID, examples=["5b1f0c2a9d3e4f60"])]
OfUser = Annotated[
    str,
    Query(max_length=16, pattern=SAFE_ID, description=f"Id of a user, `{ME}` or `{ALL}`; others need the verb `admin`"),
]


class Session(BaseModel):
    id: str
    user_id: str
    user: str = Field(description="Name of the user")
    state: SessionState
    is_this: bool = Field(description="True of the session that asks")
    how: str = Field(description="How the user signed in")
    address: str = Field(description="The address from which it began")
    agent: str = Field(description="What the browser or the program said of itself")
    created_at: datetime
    last_used_at: datetime = Field(description="To the minute")
    last_used_from: str = Field(description="The address of that use")
    expires_at: datetime = Field(description="The end, if it is not used before")
    ended_at: datetime | None
    ended_by: str


class SessionList(BaseModel):
    items: list[Session]
    next_cursor: str | None = None


class SignedOut(BaseModel):
    provider_url: str = Field(
        description="Where a browser ends its session at the provider as well; empty where there is none, or it "
        "can't be told now"
    )


@router.get("/sessions", dependencies=[needs_a_key()])
async def list_sessions(
    caller: CallerDep, sessions: SessionsDep, user: OfUser = ME, cursor: Cursor = None, limit: Limit = 100
) -> SessionList:
    """Sessions in order of their ids; those that ended are kept for 30 days."""
    user_id = _user_id(caller, user)
    page = await sessions.page(user_id, cursor=cursor, limit=limit)
    names = await sessions.names({row.user_id for row in page.rows})
    items = shown_items(
        sessions.odd_rows, page.rows, lambda row: _session(row, sessions, names.get(row.user_id, ""), caller)
    )
    return SessionList(items=items, next_cursor=page.next_cursor)


@router.delete(
    "/sessions/{session_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError),
    dependencies=[needs_a_key()],
)
async def end_session(session_id: SessionId, caller: CallerDep, sessions: SessionsDep) -> None:
    """Ends a session of one's own, or anybody's with the verb `admin`: what goes on by it ends within 5 s."""
    await sessions.end(caller, session_id)


@router.post("/sign-out", dependencies=[needs_a_key()])
async def end_own_session(
    request: Request, response: Response, caller: CallerDep, sessions: SessionsDep, services: ServicesDep
) -> SignedOut:
    """Ends the session that asks, and removes its cookie. One that the OpenID provider vouched for goes on there, until
    the browser goes to `provider_url`."""
    if not caller.session_id:
        raise InvalidError("this is a key, which has no session to end", hint="DELETE /api/v1/keys/ID revokes a key")
    row = await sessions.end(caller, caller.session_id)
    remove_cookie(response, request.scope)
    if services.people.oidc is None or row.how != SessionHow.OIDC:
        return SignedOut(provider_url="")
    return SignedOut(provider_url=await services.people.oidc.end_session_url())


def _user_id(caller: Caller, user: str) -> str:
    """The user whose sessions are asked for; empty for all. Raises ForbiddenError, and InvalidError for no user."""
    if user == ME:
        if not caller.user_id:
            raise InvalidError("this key is nobody's, and has no sessions", hint=f"ask with user={ALL}")
        return caller.user_id
    if user != caller.user_id:
        caller.check(Verb.ADMIN)
    return "" if user == ALL else user


def _session(row: SessionRow, sessions: SessionService, user: str, caller: Caller) -> Session:
    return Session(
        **row.model_dump(exclude={"token_hash"}),
        user=user,
        state=sessions.state(row),
        is_this=row.id == caller.session_id,
        expires_at=sessions.terms.end(row.created_at, row.last_used_at),
    )
