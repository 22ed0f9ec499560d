"""Routes of the machines that brought a join key: the list of those that wait, and what becomes of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import SAFE_ID, Cursor, JoinApprovalsDep, Limit
from api.needs import Judged, needs
from api.problems import problems
from api.rest.body import Body
from api.rest.items import shown_items
from gamekeeper.db.models import JoinRow
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.node.join import JoinState
from gamekeeper.domain.node.node import NODE_ID
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(prefix="/joins", tags=["joins"])

JoinId = Annotated[str, Path(max_length=32, pattern=SAFE_ID, examples=["3f2a-91bc-7d10-44e9"])]


class Join(BaseModel):
    """A machine, known by the key that it made for itself."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="The short fingerprint, which the machine shows too")
    fingerprint: str = Field(description="SHA-256 of the machine's public key")
    key_id: str = Field(description="The join key that it brought")
    node_id: str = Field(description="The node that it is, or is to be")
    state: JoinState
    reason: str = Field(description="Why it waits: `key_asks`, or `name_taken` by a node that exists")
    host: str
    address: str = Field(description="The address that it came from")
    facts: dict[str, Any] = Field(description="The machine as it describes itself")
    decided_by: str
    message: str
    created_at: datetime
    expires_at: datetime = Field(description="When it is forgotten")

    @classmethod
    def of(cls, row: JoinRow) -> Join:
        return cls.model_validate(row)


class JoinList(BaseModel):
    items: list[Join]
    next_cursor: str | None = None


class JoinApproval(Body):
    model_config = ConfigDict(extra="forbid")

    node_id: str | None = Field(default=None, pattern=NODE_ID, description="Another id than the key gives it")
    replace: bool = Field(
        default=False, description="It may take the identity of a node that exists, whose own agent is out then"
    )


class JoinRefusal(Body):
    model_config = ConfigDict(extra="forbid")

    message: str = Field(default="", max_length=200, description="Told to the machine")


class RemovedJoins(BaseModel):
    removed: int


@router.get("", dependencies=[needs(Verb.ADMIN, ObjectKind.NODE, judged=Judged.ALL)])
async def list_joins(
    approvals: JoinApprovalsDep, state: JoinState | None = None, cursor: Cursor = None, limit: Limit = 100
) -> JoinList:
    """Machines that brought a join key in the last day, in order of their fingerprints."""
    page = await approvals.page(state=state, cursor=cursor, limit=limit)
    return JoinList(items=shown_items(approvals.odd_rows, page.rows, Join.of), next_cursor=page.next_cursor)


@router.post(
    "/{join_id}/approve",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.NODE, judged=Judged.ALL)],
)
async def approve_join(join_id: JoinId, approvals: JoinApprovalsDep, body: JoinApproval | None = None) -> Join:
    """Lets a waiting machine in. 409 where its id is that of a node, unless it is to replace that node's agent."""
    wanted = body or JoinApproval()
    return Join.of(await approvals.approve(join_id, node_id=wanted.node_id or "", replaces=wanted.replace))


@router.post(
    "/{join_id}/refuse",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.NODE, judged=Judged.ALL)],
)
async def refuse_join(join_id: JoinId, approvals: JoinApprovalsDep, body: JoinRefusal | None = None) -> Join:
    """Tells a waiting machine that it is not wanted."""
    return Join.of(await approvals.refuse(join_id, (body or JoinRefusal()).message))


@router.delete(
    "/{join_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.NODE, judged=Judged.ALL)],
)
async def remove_join(join_id: JoinId, approvals: JoinApprovalsDep) -> None:
    """Forgets a machine that is no node; it may ask again."""
    await approvals.remove(join_id)


@router.delete("", dependencies=[needs(Verb.ADMIN, ObjectKind.NODE, judged=Judged.ALL)])
async def remove_joins(approvals: JoinApprovalsDep) -> RemovedJoins:
    """Forgets all machines that are no nodes."""
    return RemovedJoins(removed=await approvals.remove_all())
