"""Routes of join keys, by which machines become nodes that nobody has named before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response, status
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.config import JsonDict

from api.dependencies import SAFE_ID, Cursor, JoinKeysDep, Limit
from api.needs import Judged, needs
from api.problems import problems
from api.rest.body import Body
from api.rest.fields import Capacities, Labels
from api.rest.items import shown_items
from api.services.access.join_key import KEY_LIFETIME, MAX_KEY_LIFETIME, MAX_USES
from gamekeeper.db.models import JoinKeyRow
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.node.join import HOST_PATTERN, KeyState
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import NotFoundError

_NEEDS = needs(Verb.ADMIN, ObjectKind.NODE, judged=Judged.ALL)
router = APIRouter(prefix="/join-keys", tags=["join keys"])

MAX_POLICY_CHARACTERS = 16_384
_HOUR = timedelta(hours=1)
_EXAMPLE: JsonDict = {"uses": 10, "hours": 72, "labels": {"pool": "arena"}, "name_pattern": "arena-{n}"}
KeyId = Annotated[str, Path(max_length=16, pattern=SAFE_ID, examples=["0f9a33c1"])]


class JoinKeyFields(BaseModel):
    description: str = Field(default="", max_length=200)
    name_pattern: str = Field(
        default=HOST_PATTERN,
        max_length=80,
        description="The id of a node that joins: `{host}` is its host name, `{n}` the smallest number that is free",
    )
    labels: Labels = Field(default_factory=dict, description="Of each node that joins")
    capacity_override: Capacities = Field(
        default_factory=dict, description="Of each node that joins: replaces what the machine reports"
    )
    approve: bool = Field(default=False, description="Each machine waits until an operator approves it")


class JoinKeyCreate(JoinKeyFields, Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    uses: int = Field(default=1, ge=1, le=MAX_USES, description="How many machines may join by it")
    hours: int = Field(
        default=KEY_LIFETIME // _HOUR, ge=1, le=MAX_KEY_LIFETIME // _HOUR, description="How long the key is good for"
    )
    policy: NodePolicy | None = Field(
        default=None, description="Template of the node policy, which an agent writes as its own where it has none"
    )

    @field_validator("policy")
    @classmethod
    def _policy_small(cls, policy: NodePolicy | None) -> NodePolicy | None:
        if policy is not None and len(policy.model_dump_json()) > MAX_POLICY_CHARACTERS:
            raise ValueError(f"the policy is over {MAX_POLICY_CHARACTERS} characters")
        return policy


class JoinKey(JoinKeyFields):
    model_config = ConfigDict(from_attributes=True)

    id: str
    state: KeyState
    uses: int = Field(description="Machines that joined by it, and those that wait for an approval")
    max_uses: int
    policy: dict[str, Any] | None
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, row: JoinKeyRow) -> JoinKey:
        return cls.model_validate(row)


class NewJoinKey(JoinKey):
    key: str = Field(description="Shown this once; the pin of the CA stands behind the dot")


class JoinKeyList(BaseModel):
    items: list[JoinKey]
    next_cursor: str | None = None


@router.post("", status_code=status.HTTP_201_CREATED, dependencies=[_NEEDS])
async def create_join_key(body: JoinKeyCreate, join_keys: JoinKeysDep, response: Response) -> NewJoinKey:
    """A key by which so many machines join: each becomes a node with these labels and overrides."""
    fields = body.model_dump(exclude={"uses", "hours", "policy"}) | {"max_uses": body.uses}
    fields["policy"] = body.policy.model_dump(exclude_unset=True) if body.policy is not None else None
    key, row = await join_keys.make(fields, timedelta(hours=body.hours))
    response.headers["Location"] = f"/api/v1/join-keys/{row.id}"
    return NewJoinKey(**JoinKey.of(row).model_dump(), key=key)


@router.get("", dependencies=[_NEEDS])
async def list_join_keys(join_keys: JoinKeysDep, cursor: Cursor = None, limit: Limit = 100) -> JoinKeyList:
    """Join keys in order of their ids, without the keys themselves; those that ended are kept for 30 days."""
    page = await join_keys.page(cursor=cursor, limit=limit)
    return JoinKeyList(items=shown_items(join_keys.odd_rows, page.rows, JoinKey.of), next_cursor=page.next_cursor)


@router.get("/{key_id}", responses=problems(NotFoundError), dependencies=[_NEEDS])
async def get_join_key(key_id: KeyId, join_keys: JoinKeysDep) -> JoinKey:
    """One join key, without the key itself."""
    return JoinKey.of(await join_keys.get(key_id))


@router.delete(
    "/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError),
    dependencies=[_NEEDS],
)
async def revoke_join_key(key_id: KeyId, join_keys: JoinKeysDep) -> None:
    """Revokes a key: it lets no further machine in, and what waits with it is refused. Nodes that joined stay."""
    await join_keys.revoke(key_id)
