"""The route that makes a link which signs in once: for an admin, on the machine of the server itself."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Depends, status
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import CallerDep, SignInLinksDep, require_this_machine
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ConflictError, ForbiddenError, NotFoundError

router = APIRouter(tags=["sessions"])


class SignInLinkCreate(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"user": "admin"}]})

    user: str = Field(
        default="",
        max_length=256,
        description="Name of the user whom it signs in; default: your own user, or else the only admin, who is made "
        "where there is no user at all",
    )


class NewSignInLink(BaseModel):
    link: str = Field(description="The token, shown this once. The console's address with `#sign-in=` and it signs in.")
    user: str = Field(description="Name of the user")
    user_id: str = Field(description="Id of the user")
    expires_at: datetime


@router.post(
    "/sign-in-links",
    status_code=status.HTTP_201_CREATED,
    responses=problems(NotFoundError, ForbiddenError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER), Depends(require_this_machine)],
)
async def create_sign_in_link(body: SignInLinkCreate, caller: CallerDep, links: SignInLinksDep) -> NewSignInLink:
    """Makes a link that signs a user in once, within 15 minutes, past its password and its authenticator. It is made on
    the machine of the server alone."""
    made = await links.make(caller, body.user)
    return NewSignInLink(link=made.token, user=made.user.name, user_id=made.user.id, expires_at=made.expires_at)
