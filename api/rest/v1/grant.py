"""Routes of grants: what users and keys may do, and to which objects."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Query, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from api.dependencies import SAFE_ID, CallerDep, Cursor, GrantsDep, Limit
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.rest.fields import Labels, grant_lifetime
from api.rest.items import shown_items
from api.services.access.grant import Gift
from gamekeeper.db.models import GrantRow
from gamekeeper.domain.access.grant import HolderKind
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.selector import ALL, MAX_ID, MAX_IDS, MAX_LABELS, Selector, make_selector
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(prefix="/grants", tags=["grants"])

GrantId = Annotated[str, Path(max_length=16, pattern=SAFE_ID, description="Id of the grant", examples=["5d0c1f9a33c1"])]
HolderId = Annotated[str, Field(min_length=1, max_length=63, pattern=SAFE_ID, examples=["0f9a33c1"])]
HOLDER = r"^(key|user):[A-Za-z0-9._-]+$"
Kind = Literal["all", "node", "pipeline", "instance", "server"]
_ON: JsonDict = {"kind": "instance", "labels": {"team": "blue"}}
_EXAMPLE: JsonDict = {"holder": {"kind": "key", "id": "0f9a33c1"}, "role": "operator", "on": _ON, "expires_in": "30d"}


class Holder(Body):
    """Whoever has the grant: by its id, which nobody else ever gets."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    kind: HolderKind = Field(description="`key` or `user`")
    id: HolderId = Field(description="Id of the key or the user")


class GrantOn(Body):
    """The objects that a grant is about: those of the kind to which every part applies that is given."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_ON]})

    kind: Kind = Field(default="all", description="Kind of object; runs and schedules are told by their pipeline")
    ids: list[Annotated[str, Field(min_length=1, max_length=MAX_ID)]] = Field(
        default_factory=list, max_length=MAX_IDS, description="Any of these ids; `eu-*` is each that begins with `eu-`"
    )
    labels: Labels = Field(default_factory=dict, description=f"All of these labels, {MAX_LABELS} at most")
    own: bool = Field(default=False, description="Of instances: those that the holder made")

    def selector(self) -> Selector:
        """Raises InvalidError for one that means nothing."""
        kind = None if self.kind == ALL else ObjectKind(self.kind)
        return make_selector(kind, self.ids, self.labels, is_own=self.own)

    @classmethod
    def of(cls, selector: Selector) -> Self:
        kind = ALL if selector.kind is None else selector.kind.value
        fields: dict[str, Any] = {"ids": list(selector.ids), "labels": dict(selector.labels), "own": selector.is_own}
        return cls.model_validate({"kind": kind} | fields)


class GrantCreate(Body):
    """A grant to be made: a role, or verbs."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    holder: Holder = Field(description="Whoever is to have it")
    role: Role | None = Field(default=None, description="A set of verbs; or give `verbs`")
    verbs: list[Verb] = Field(default_factory=list, max_length=len(Verb), description="Verbs one by one")
    on: GrantOn = Field(default_factory=GrantOn, description="Objects that it is about; everything by default")
    expires_in: Annotated[str, Field(max_length=40), AfterValidator(grant_lifetime)] | None = Field(
        default=None, description="How long it is good for, as `8h` or `30d`; null for one without an end"
    )

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if (self.role is None) == (not self.verbs):
            raise ValueError('give either "role" or "verbs"')
        if self.role is Role.GUEST:
            raise ValueError('the role "guest" has no verbs, so it grants nothing')
        return self


class Grant(BaseModel):
    """Verbs on objects, given to a user or a key."""

    id: str = Field(description="Id of the grant")
    holder: Holder = Field(description="Whoever has it")
    role: str = Field(description="The set of verbs that was given; empty where they were given one by one")
    verbs: list[str] = Field(description="What it lets its holder do")
    on: GrantOn = Field(description="Objects that it is about")
    created_by: str
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, row: GrantRow) -> Grant:
        grant = row.grant()
        return cls(
            id=row.id,
            holder=Holder(kind=HolderKind(row.holder_kind), id=row.holder_id),
            role=row.role,
            verbs=[verb.value for verb in Verb if verb in grant.verbs],
            on=GrantOn.of(grant.selector),
            created_by=row.created_by,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )


class GrantList(BaseModel):
    """A page of grants."""

    items: list[Grant]
    next_cursor: str | None = None


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def create_grant(body: GrantCreate, caller: CallerDep, grants: GrantsDep, response: Response) -> Grant:
    """Gives a user or a key verbs on objects. Grants only add: what somebody may do is all that any of them says.
    Nobody gives more than they have."""
    role = body.role.value if body.role else ""
    gift = Gift(body.holder.kind, body.holder.id, body.on.selector(), role, frozenset(body.verbs))
    row = await grants.make(caller, gift, None if body.expires_in is None else parse_duration(body.expires_in))
    response.headers["Location"] = f"/api/v1/grants/{row.id}"
    return Grant.of(row)


@router.get("", dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def list_grants(
    grants: GrantsDep,
    holder: Annotated[
        str | None,
        Query(max_length=80, pattern=HOLDER, description="Only those of it, as `key:0f9a33c1`"),
    ] = None,
    kind: Annotated[Kind | None, Query(description="Only those on this kind of object")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> GrantList:
    """Grants in order of their ids; those that ended are kept for 30 days."""
    holder_kind, _, holder_id = holder.partition(":") if holder else (None, "", None)
    page = await grants.page(holder_kind=holder_kind, holder_id=holder_id, kind=kind, cursor=cursor, limit=limit)
    return GrantList(items=shown_items(grants.odd_rows, page.rows, Grant.of), next_cursor=page.next_cursor)


@router.get("/{grant_id}", responses=problems(NotFoundError), dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def get_grant(grant_id: GrantId, grants: GrantsDep) -> Grant:
    """One grant."""
    return Grant.of(await grants.get(grant_id))


@router.delete(
    "/{grant_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def remove_grant(grant_id: GrantId, caller: CallerDep, grants: GrantsDep) -> None:
    """Takes a grant away. Within 5 s it opens nothing more, and what goes on by it ends."""
    await grants.remove(caller, grant_id)
