"""The route that tells who asks."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from api.browser import token_of_cookie
from api.dependencies import CallerDep, KeyRingDep, QuotasDep, UsersDep
from api.needs import needs_a_key
from api.rest.v1.grant import GrantOn
from api.rest.v1.key import ApiKey
from api.rest.v1.quota import Quota
from api.rest.v1.user import User
from gamekeeper.domain.access.grant import MAX_GRANTS, Grant
from gamekeeper.domain.access.role import verbs_of
from gamekeeper.domain.access.verb import Verb
from gamekeeper.keys import csrf_token

router = APIRouter(tags=["sessions"])


class OwnGrant(BaseModel):
    """A grant of whoever asks, which is good now."""

    id: str = Field(description="Id of the grant")
    role: str = Field(description="The set of verbs that was given; empty where they were given one by one")
    verbs: list[Verb] = Field(description="What it lets the caller do: by a key of a user, what that key may do of it")
    on: GrantOn = Field(description="Objects that it is about")
    expires_at: datetime | None = Field(description="The end of it; null for none")

    @classmethod
    def of(cls, grant: Grant) -> OwnGrant:
        verbs, on = [verb for verb in Verb if verb in grant.verbs], GrantOn.of(grant.selector)
        return cls(id=grant.id, role=grant.role, verbs=verbs, on=on, expires_at=grant.expires_at)


class WhoAmI(BaseModel):
    actor: str = Field(description="As events name it", examples=["key:admin"])
    verbs: list[Verb] = Field(description="What the caller's role lets it do, to everything")
    verbs_somewhere: list[Verb] = Field(
        description="What the caller may do to something at least, by its role or by grants"
    )
    grants: list[OwnGrant] = Field(
        max_length=MAX_GRANTS, description="What the caller may do beside its role: its own grants, by their ids"
    )
    key: ApiKey | None = Field(description="The key that asks; null for a session")
    user: User | None = Field(description="The user who asks; null for a key that acts for itself")
    quota: Quota = Field(description="What one's instances may be and hold together, and what they do")
    session_id: str = Field(description="The session that asks; empty for a key")
    csrf_token: str = Field(description="For a session in a cookie: what writes sends it as `X-CSRF-Token`")
    web_build: str = Field(description="The build of the web console that this server has; empty for none")


@router.get("/whoami", dependencies=[needs_a_key()])
async def get_caller(
    caller: CallerDep, request: Request, ring: KeyRingDep, users: UsersDep, quotas: QuotasDep
) -> WhoAmI:
    """The caller, the name under which events tell of it, and what it was granted."""
    key = ApiKey.of(await ring.get(caller.key_id)) if caller.key_id else None
    user = User.of(await users.get(caller.user_id)) if caller.user_id else None
    verbs = sorted(verbs_of(caller.role), key=list(Verb).index)
    is_cookie = caller.session_id and "authorization" not in request.headers
    csrf = csrf_token(token_of_cookie(request.scope)) if is_cookie else ""
    return WhoAmI(
        actor=caller.actor,
        verbs=verbs,
        verbs_somewhere=[verb for verb in Verb if caller.access.may_any(verb)],
        grants=[OwnGrant.of(grant) for grant in caller.grants[:MAX_GRANTS]],
        key=key,
        user=user,
        quota=Quota.of(await quotas.of_caller(caller)),
        session_id=caller.session_id,
        csrf_token=csrf,
        web_build=request.app.state.web.build,
    )
