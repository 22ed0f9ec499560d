"""Routes of API keys: one's own, and for an admin all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.dependencies import SAFE_ID, CallerDep, Cursor, KeyRingDep, Limit
from api.needs import needs_a_key
from api.problems import problems
from api.rest.body import Body
from api.rest.fields import OPTIONAL_ID
from api.rest.items import shown_items
from gamekeeper.db.models import ApiKeyRow
from gamekeeper.domain.access.api_key import KEY_NAME, MAX_KEY_NAME, MAX_OVERLAP, OVERLAP, ApiKeyState
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import ME
from gamekeeper.domain.access.verb import Verb
from gamekeeper.domain.language.units import format_duration, parse_duration
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError
from gamekeeper.keys import is_secret

router = APIRouter(tags=["keys"])

OfUser = Annotated[
    str, Query(max_length=16, pattern=OPTIONAL_ID, description=f"Only keys of this user, by its id, or `{ME}`")
]
KeyId = Annotated[str, Path(max_length=16, pattern=SAFE_ID, examples=["0f9a33c1"])]


def _lifetime(text: str) -> str:
    if parse_duration(text) < timedelta(seconds=1):
        raise ValueError("a key is good for a second at least")
    return text


def _overlap(text: str) -> str:
    if parse_duration(text) > MAX_OVERLAP:
        raise ValueError(f"earlier secrets stay good for {format_duration(MAX_OVERLAP)} at most")
    return text


def _name(text: str) -> str:
    if is_secret(text):
        raise ValueError("a name does not begin like a key: names are shown to everybody, and keys are not")
    return text


class ApiKeyCreate(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "ci", "expires_in": "90d"}]})

    name: Annotated[str, AfterValidator(_name)] = Field(
        max_length=MAX_KEY_NAME,
        pattern=KEY_NAME,
        description="As events name it; no other good key has it, whatever its capitals, and it does not begin with "
        "`gk_` or as other keys do",
    )
    role: Role = Field(default=Role.ADMIN, description="What it may do: see docs/access.md")
    expires_in: Annotated[str, Field(max_length=40), AfterValidator(_lifetime)] | None = Field(
        default=None, description="How long it is good for, as `90d` or `8h`; null for a key without an end"
    )
    user: str = Field(
        default="",
        max_length=16,
        pattern=OPTIONAL_ID,
        description=f"Id of the user as whom it acts, or `{ME}`; it may do what both its role and the user may. Empty "
        "for a key that acts for itself. Whoever is signed in makes its own keys; others need the verb `admin`.",
    )


class ApiKeyRotate(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap": "1h"}]})

    overlap: Annotated[str, Field(max_length=40), AfterValidator(_overlap)] = Field(
        default=format_duration(OVERLAP), description="How long the earlier secrets stay good; `0s` ends them at once"
    )


class ApiKey(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    role: str = Field(description="What it may do; one that this version does not know may do nothing")
    user_id: str | None = Field(description="The user as whom it acts; null for a key that acts for itself")
    state: ApiKeyState
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute")
    last_used_from: str = Field(description="The address of that use")

    @classmethod
    def of(cls, row: ApiKeyRow) -> ApiKey:
        return cls.model_validate(row)


class NewApiKey(ApiKey):
    key: str = Field(description="Shown this once")


class RotatedApiKey(NewApiKey):
    earlier_good_until: datetime = Field(description="The end of the secrets of before")


class ApiKeyList(BaseModel):
    items: list[ApiKey]
    next_cursor: str | None = None


@router.post(
    "/keys",
    status_code=status.HTTP_201_CREATED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs_a_key()],
)
async def create_key(body: ApiKeyCreate, caller: CallerDep, ring: KeyRingDep, response: Response) -> NewApiKey:
    """Makes an API key, which is shown this once. One that acts for itself, or as somebody else, needs the verb
    `admin`."""
    lifetime = None if body.expires_in is None else parse_duration(body.expires_in)
    secret, row = await ring.make(caller, body.name, body.role, lifetime, _user_id(caller, body.user))
    response.headers["Location"] = f"/api/v1/keys/{row.id}"
    return NewApiKey(**_fields(row), key=secret)


@router.get("/keys", dependencies=[needs_a_key()])
async def list_keys(
    caller: CallerDep, ring: KeyRingDep, user: OfUser = "", cursor: Cursor = None, limit: Limit = 100
) -> ApiKeyList:
    """API keys in order of their ids, without the keys themselves; those that ended are kept for 30 days. Without the
    verb `admin` they are one's own: of the user who asks, or the key that asks."""
    user_id = _user_id(caller, user)
    if user_id and user_id != caller.user_id:
        caller.check(Verb.ADMIN)
    if not caller.may(Verb.ADMIN):
        user_id = caller.user_id
        if not user_id:
            return ApiKeyList(items=[ApiKey.of(await ring.get(caller.key_id))])
    page = await ring.page(user_id=user_id, cursor=cursor, limit=limit)
    return ApiKeyList(items=shown_items(ring.odd_rows, page.rows, ApiKey.of), next_cursor=page.next_cursor)


@router.get("/keys/{key_id}", responses=problems(NotFoundError), dependencies=[needs_a_key()])
async def get_key(key_id: KeyId, caller: CallerDep, ring: KeyRingDep) -> ApiKey:
    """One API key, without the key itself. One of somebody else needs the verb `admin`."""
    return ApiKey.of(await ring.seen(caller, key_id))


@router.delete(
    "/keys/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs_a_key()],
)
async def revoke_key(key_id: KeyId, caller: CallerDep, ring: KeyRingDep) -> None:
    """Revokes a key. Within 5 s it opens nothing more, and what goes on by it ends. One of somebody else needs the verb
    `admin`, and the last who may let others in stays."""
    await ring.revoke(caller, key_id)


@router.post("/keys/{key_id}/rotate", responses=problems(NotFoundError, ConflictError), dependencies=[needs_a_key()])
async def rotate_key(key_id: KeyId, body: ApiKeyRotate, caller: CallerDep, ring: KeyRingDep) -> RotatedApiKey:
    """Gives a key a new secret, which is shown this once; those of before stay good for the overlap."""
    secret, row, until = await ring.rotate(caller, key_id, parse_duration(body.overlap))
    return RotatedApiKey(**_fields(row), key=secret, earlier_good_until=until)


def _user_id(caller: Caller, user: str) -> str:
    """Raises InvalidError for a key that is nobody's."""
    if user != ME:
        return user
    if not caller.user_id:
        raise InvalidError("this key is nobody's", hint="name the user by its id")
    return caller.user_id


def _fields(row: ApiKeyRow) -> dict[str, Any]:
    return ApiKey.of(row).model_dump()
