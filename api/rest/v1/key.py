"""Routes of API keys, and of the one that asks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.dependencies import SAFE_ID, CallerDep, Cursor, KeyRingDep, Limit
from api.needs import needs, needs_a_key
from api.problems import problems
from api.rest.body import Body
from api.rest.items import shown_items
from gamekeeper.db.models import ApiKeyRow
from gamekeeper.domain.access.api_key import KEY_NAME, MAX_KEY_NAME, MAX_OVERLAP, OVERLAP, ApiKeyState
from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.language.units import format_duration, parse_duration
from gamekeeper.errors import ConflictError, NotFoundError
from gamekeeper.keys import is_secret

router = APIRouter(tags=["keys"])

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


class Caller(BaseModel):
    actor: str = Field(description="As events name it", examples=["key:admin"])
    verbs: list[Verb] = Field(description="What the key may do")
    key: ApiKey


@router.post(
    "/keys",
    status_code=status.HTTP_201_CREATED,
    responses=problems(ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def create_key(body: ApiKeyCreate, caller: CallerDep, ring: KeyRingDep, response: Response) -> NewApiKey:
    """Makes an API key, which is shown this once."""
    lifetime = None if body.expires_in is None else parse_duration(body.expires_in)
    secret, row = await ring.make(caller, body.name, body.role, lifetime)
    response.headers["Location"] = f"/api/v1/keys/{row.id}"
    return NewApiKey(**_fields(row), key=secret)


@router.get("/keys", dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def list_keys(ring: KeyRingDep, cursor: Cursor = None, limit: Limit = 100) -> ApiKeyList:
    """API keys in order of their ids, without the keys themselves; those that ended are kept for 30 days."""
    page = await ring.page(cursor=cursor, limit=limit)
    return ApiKeyList(items=shown_items(ring.odd_rows, page.rows, ApiKey.of), next_cursor=page.next_cursor)


@router.get("/keys/{key_id}", responses=problems(NotFoundError), dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def get_key(key_id: KeyId, ring: KeyRingDep) -> ApiKey:
    """One API key, without the key itself."""
    return ApiKey.of(await ring.get(key_id))


@router.delete(
    "/keys/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def revoke_key(key_id: KeyId, caller: CallerDep, ring: KeyRingDep) -> None:
    """Revokes a key. Within 5 s it opens nothing more, and what goes on by it ends. The last good key stays."""
    await ring.revoke(caller, key_id)


@router.post("/keys/{key_id}/rotate", responses=problems(NotFoundError, ConflictError), dependencies=[needs_a_key()])
async def rotate_key(key_id: KeyId, body: ApiKeyRotate, caller: CallerDep, ring: KeyRingDep) -> RotatedApiKey:
    """Gives a key a new secret, which is shown this once; those of before stay good for the overlap."""
    secret, row, until = await ring.rotate(caller, key_id, parse_duration(body.overlap))
    return RotatedApiKey(**_fields(row), key=secret, earlier_good_until=until)


@router.get("/whoami", dependencies=[needs_a_key()])
async def get_caller(caller: CallerDep, ring: KeyRingDep) -> Caller:
    """The key that asks, and the name under which events tell of it."""
    verbs = sorted(verbs_of(caller.role), key=list(Verb).index)
    return Caller(actor=caller.actor, verbs=verbs, key=ApiKey.of(await ring.get(caller.id)))


def _fields(row: ApiKeyRow) -> dict[str, Any]:
    return ApiKey.of(row).model_dump()
