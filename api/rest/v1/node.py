"""Routes of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response, status
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.dependencies import NO_NUL, SAFE_ID, CallerDep, Cursor, EnrolmentDep, IfMatch, Limit, MetricsDep, NodesDep
from api.needs import Judged, SeenNodes, SightDep, needs
from api.problems import problems
from api.rest.body import Body
from api.rest.fields import Capacities, Labels
from api.rest.items import shown_item, shown_items
from api.services.node.node import MAX_TOKEN_LIFETIME, TOKEN_LIFETIME, NodeService
from gamekeeper.db.models import ContainerRow, NodeRow
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.node.capacity import effective
from gamekeeper.domain.node.condition import Condition
from gamekeeper.domain.node.node import NODE_ID, NodeMode, NodeStatus
from gamekeeper.domain.node.room import Room
from gamekeeper.errors import ConflictError, NotFoundError, PreconditionError

router = APIRouter(prefix="/nodes", tags=["nodes"])

_EXAMPLE: JsonDict = {"id": "gpu-01", "location": "rack 4", "labels": {"pool": "arena"}}
NodeId = Annotated[str, Path(max_length=63, pattern=SAFE_ID, examples=["gpu-01"])]


class NodeFields(Body):
    """The fields of a node that an operator sets."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=200)
    description: str = Field(default="", max_length=2000)
    location: str = Field(default="", max_length=200)
    labels: Labels = Field(default_factory=dict)
    mode: NodeMode = NodeMode.ACTIVE


class NodeCreate(NodeFields):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    id: str = Field(pattern=NODE_ID, description="A DNS label, chosen by you; it never changes", examples=["gpu-01"])


class NodeUpdate(Body):
    """A change of a node: only the given fields change."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"mode": "maintenance"}]})

    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=2000)
    location: str | None = Field(default=None, max_length=200)
    labels: Labels | None = None
    mode: NodeMode | None = None
    capacity_override: Capacities | None = Field(
        default=None, description="Replaces what the machine reports; {} takes it back"
    )


class Node(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    description: str
    location: str
    labels: dict[str, str]
    mode: NodeMode
    status: NodeStatus
    hardware: dict[str, Any]
    system: dict[str, Any]
    inventory: dict[str, Any] = Field(description="What the machine is made of, as its agent found out")
    capacity: dict[str, Any] = Field(description="What it offers: reported, with your overrides")
    capacity_override: dict[str, Any]
    conditions: list[Condition] = Field(description="What is wrong with it now")
    policy: dict[str, Any] | None
    agent_version: str
    epoch: int = Field(description="Number of its agent's newest session; each begins a higher one")
    last_seen_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int = Field(description="Also the ETag")
    drain_until: datetime | None = Field(description="Deadline of the drain that goes on; null without one")
    room: Room | None = Field(default=None, description="What of it is promised to instances, and what is free")
    vitals: dict[str, float] = Field(
        default_factory=dict,
        description="Its newest measurements, named as in its metrics; empty when it told none within the last minute, "
        "and in answers to changes",
    )

    @classmethod
    def of(cls, row: NodeRow) -> Node:
        node = cls.model_validate(row)
        node.capacity = effective(node.capacity, node.capacity_override)
        return node

    def with_room(self, rooms: Mapping[str, Room]) -> Node:
        self.room = rooms.get(self.id)
        return self

    def with_vitals(self, live: Mapping[str, dict[str, float]]) -> Node:
        self.vitals = live.get(self.id, {})
        return self


class NodeList(BaseModel):
    items: list[Node]
    next_cursor: str | None = None


class TokenRequest(Body):
    model_config = ConfigDict(extra="forbid")

    minutes: int = Field(
        default=int(TOKEN_LIFETIME.total_seconds() // 60),
        ge=1,
        le=int(MAX_TOKEN_LIFETIME.total_seconds() // 60),
        description="How long the token is good for",
    )


class EnrolmentToken(BaseModel):
    token: str = Field(description="Shown this once; good for one registration")
    node: str
    expires_at: datetime


class NodeContainer(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    image: str
    status: str
    health: str
    run_id: str
    step: str
    try_number: int = Field(serialization_alias="try")
    pipeline: str
    lifetime: str
    exit_code: int | None
    restart_count: int
    problem: str = Field(description="Why it can't be removed; empty when nobody tried in vain")
    ports: list[str]
    started_at: datetime | None
    seen_at: datetime

    @classmethod
    def of(cls, row: ContainerRow) -> NodeContainer:
        return cls.model_validate(row)


class ContainerList(BaseModel):
    items: list[NodeContainer]


async def shown_node(row: NodeRow, nodes: NodeService, response: Response) -> Node:
    """The node with its room and its ETag."""
    response.headers["ETag"] = f'"{row.version}"'
    return shown_item(row, Node.of, f"node {row.id}").with_room(await nodes.rooms([row]))


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=problems(ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.NODE, judged=Judged.ALL)],
)
async def create_node(body: NodeCreate, nodes: NodesDep, response: Response) -> Node:
    """Creates a node. It is `never_seen` until its agent registers with an enrolment token."""
    row = await nodes.create(body.model_dump(mode="json"))
    response.headers["Location"] = f"/api/v1/nodes/{row.id}"
    return await shown_node(row, nodes, response)


@router.get("", dependencies=[needs(Verb.SEE, ObjectKind.NODE, judged=Judged.LIST)])
async def list_nodes(
    nodes: NodesDep,
    metrics: MetricsDep,
    scope: SeenNodes,
    node_status: Annotated[NodeStatus | None, Query(alias="status")] = None,
    mode: NodeMode | None = None,
    label: Annotated[str | None, Query(max_length=500, pattern=NO_NUL, examples=["pool=arena"])] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> NodeList:
    """Nodes in order of their ids."""
    page = await nodes.page(scope, status=node_status, mode=mode, label=label, cursor=cursor, limit=limit)
    items, rooms = shown_items(nodes.odd_rows, page.rows, Node.of), await nodes.rooms(page.rows)
    live = metrics.live_nodes()
    return NodeList(items=[item.with_room(rooms).with_vitals(live) for item in items], next_cursor=page.next_cursor)


@router.get("/{node_id}", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.NODE)])
async def get_node(node_id: NodeId, nodes: NodesDep, metrics: MetricsDep, response: Response) -> Node:
    """One node. Its `ETag` is what `If-Match` of a change takes."""
    return (await shown_node(await nodes.get(node_id), nodes, response)).with_vitals(metrics.live_nodes())


@router.patch(
    "/{node_id}", responses=problems(NotFoundError, PreconditionError), dependencies=[needs(Verb.EDIT, ObjectKind.NODE)]
)
async def edit_node(
    node_id: NodeId, body: NodeUpdate, caller: CallerDep, nodes: NodesDep, if_match: IfMatch, response: Response
) -> Node:
    """Changes what is given. With `If-Match` the change is made only to the version you read.

    `maintenance`: no new steps, running ones go on. `disabled`: running ones are stopped too.
    """
    fields = {key: value for key, value in body.model_dump(mode="json").items() if value is not None}
    return await shown_node(await nodes.edit(node_id, fields, if_match, caller.access), nodes, response)


@router.delete(
    "/{node_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError, PreconditionError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.NODE)],
)
async def delete_node(node_id: NodeId, nodes: NodesDep, if_match: IfMatch, force: bool = False) -> None:
    """Removes a node. 409 while steps live on it or services are to stay there, unless forced: then the steps are
    stopped, and the services stay on the machine with nobody to look after them."""
    await nodes.delete(node_id, if_match, force=force)


@router.post(
    "/{node_id}/enrolment-tokens",
    status_code=status.HTTP_201_CREATED,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.NODE)],
)
async def create_enrolment_token(node_id: NodeId, nodes: NodesDep, body: TokenRequest | None = None) -> EnrolmentToken:
    """A one-time token with which the node's agent registers."""
    lifetime = timedelta(minutes=(body or TokenRequest()).minutes)
    token, expires_at = await nodes.new_token(node_id, lifetime)
    return EnrolmentToken(token=token, node=node_id, expires_at=expires_at)


@router.post(
    "/{node_id}/revoke",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.NODE)],
)
async def revoke_node(node_id: NodeId, enrolment: EnrolmentDep) -> None:
    """Makes the node's key, certificates and unspent tokens void. Its session, polls, uploads and consoles end within
    5 s; its containers go on, and nobody looks after them until it registers with a new enrolment token."""
    await enrolment.revoke(node_id)


@router.get("/{node_id}/containers", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.NODE)])
async def list_containers(node_id: NodeId, nodes: NodesDep, sight: SightDep) -> ContainerList:
    """The node's containers that Gamekeeper owns, as its agent last reported them; those of runs and instances that the
    caller may not see are left out."""
    return ContainerList(items=shown_items(nodes.odd_rows, await nodes.containers(node_id, sight), NodeContainer.of))


@router.post(
    "/{node_id}/refresh",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.SEE, ObjectKind.NODE)],
)
async def refresh_node(node_id: NodeId, nodes: NodesDep) -> None:
    """Asks the node's agent to report its inventory and containers now. 409 when it is not connected."""
    await nodes.refresh(node_id)
