"""Routes of users' identities at the OpenID provider, for admins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response, status
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import SAFE_ID, CallerDep, IdentitiesDep
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.rest.v1.user import UserId
from gamekeeper.domain.access.oidc import MAX_SUBJECT
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(tags=["users"])

IdentityId = Annotated[str, Path(max_length=16, pattern=SAFE_ID, examples=["3e9a41c07b5d2f86"])]


class IdentityCreate(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"subject": "248289761001"}]})

    subject: str = Field(
        min_length=1,
        max_length=MAX_SUBJECT,
        pattern="^[ -~]+$",
        description="Subject (`sub`) by which the provider knows the person; an event of a failed sign-in tells it",
    )


class Identity(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    issuer: str = Field(description="The provider")
    subject: str = Field(description="Subject by which it knows the person")
    name: str = Field(description="What it called the person at the last sign-in")
    created_by: str = Field(description="Who linked it; `oidc` where the provider brought the user")
    created_at: datetime
    last_sign_in_at: datetime | None


class IdentityList(BaseModel):
    items: list[Identity]


@router.get(
    "/users/{user_id}/identities",
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def list_identities(user_id: UserId, identities: IdentitiesDep) -> IdentityList:
    """The identities of a user, ten at most."""
    return IdentityList(items=[Identity.model_validate(row) for row in await identities.of(user_id)])


@router.post(
    "/users/{user_id}/identities",
    status_code=status.HTTP_201_CREATED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def create_identity(
    user_id: UserId, body: IdentityCreate, caller: CallerDep, identities: IdentitiesDep, response: Response
) -> Identity:
    """Links a user to a person at the provider, who signs in as this user from then on."""
    row = await identities.link(caller, user_id, body.subject)
    response.headers["Location"] = f"/api/v1/users/{user_id}/identities"
    return Identity.model_validate(row)


@router.delete(
    "/users/{user_id}/identities/{identity_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def delete_identity(
    user_id: UserId, identity_id: IdentityId, caller: CallerDep, identities: IdentitiesDep
) -> None:
    """Unlinks a user, and ends its sessions that the provider vouched for."""
    await identities.unlink(caller, user_id, identity_id)
