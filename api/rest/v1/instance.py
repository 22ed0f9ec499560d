"""Routes of instances: make one, look at it, edit it, remove it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from fastapi import APIRouter, Header, Path, Query, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.dependencies import NO_NUL, CallerDep, Cursor, InstancePowerDep, InstancesDep, Limit, PartsDep
from api.needs import Judged, SeenInstances, needs
from api.problems import SPEC, problems
from api.rest.body import Body
from api.rest.fields import NEVER_NULL, Labels, Moment
from api.rest.items import shown_item
from api.rest.yaml_body import YamlRoute
from api.services.instance.instance import SeenInstance
from api.services.label import label_pair
from gamekeeper.control_plane.instance.plan import InstanceSubmission
from gamekeeper.db.models.columns import utc_now
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.instance.instance_filter import InstanceFilter
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.node.node import NodeStatus
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError

router = APIRouter(prefix="/instances", tags=["instances"], route_class=YamlRoute)

MAX_EXPIRY = timedelta(days=36_525)
INSTANCE_ID = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
InstanceId = Annotated[str, Path(max_length=63, pattern=INSTANCE_ID)]
Key = Annotated[str | None, Header(alias="idempotency-key", min_length=1, max_length=200)]
_CONTAINER: JsonDict = {"image": "debian:12", "command": ["sleep", "infinity"], "ports": ["8303:8303/udp"]}
_EXAMPLE: JsonDict = {"id": "arena", "node": "gpu-01", "container": _CONTAINER, "restart": {"policy": "always"}}


class RevisionBody(Body):
    """The parts of a revision. Each one is checked by the language's own rules, all problems at once."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"container": _CONTAINER}]})

    # The language brings its own list of problems, so the shapes are not checked twice.
    yaml: Any = Field(default=None, description="All of it as YAML text, instead of the other keys")
    container: Any = Field(default=None, description="The container, in Compose's words, as of a step")
    ready: Any = Field(default=None, description="`{within: 5m}`: how long it may take to get ready")
    stop: Any = Field(default=None, description="`{command, signal, grace}`: how it is asked to end")
    hooks: Any = Field(default=None, description="`{post_start, pre_stop}`: commands inside of it")
    restart: Any = Field(default=None, description="`{policy, attempts, window}`: when it is started again")
    group: Any = Field(default=None, description="Instances of a group reach each other by their names")

    def submission(self, raw: bytes, key: str | None = None) -> InstanceSubmission:
        value = self.model_dump(exclude_unset=True, exclude={"yaml"})
        if self.yaml is not None and not isinstance(self.yaml, str):
            raise InvalidError("yaml must be text")
        return InstanceSubmission(self.yaml, value, key, hashlib.sha256(raw).hexdigest())


class InstanceCreate(RevisionBody):
    """An instance to be made; or a text of `yaml` with these keys."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE]})

    id: Any = Field(default=None, description="A DNS label; made up when it is left out")
    name: Any = Field(default=None, description="For people; the id by default")
    labels: Any = Field(default=None, description="To search by")
    node: Any = Field(default=None, description="Id of a node, or `{labels: {...}}`; may be left out in a fleet of one")
    expires: Any = Field(default=None, description="After this time it stops by itself, as `2h`")
    desired: Any = Field(default=None, description="running or stopped; running by default")
    schedules: Any = Field(default=None, description="When it is restarted by itself and the like, each with a `name`")


class InstanceEdit(Body):
    """Changes without a new revision. A key that is left out stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Arena", "labels": {"eu": "1"}}]}
    )

    name: Annotated[str | None, NEVER_NULL] = Field(
        default=None, min_length=1, max_length=200, pattern=NO_NUL, description="For people"
    )
    labels: Annotated[Labels | None, NEVER_NULL] = Field(default=None, description="To search by")
    pipeline: Annotated[str | None, NEVER_NULL] = Field(
        default=None,
        max_length=63,
        pattern=NO_NUL,
        description="The pipeline whose steps may update it; empty for none",
    )
    expires_at: Moment | None = Field(default=None, description="When it stops by itself; null for never")


class Operation(BaseModel):
    """The action that goes on. It holds the lock of the instance."""

    action: str = Field(description="create, start, stop, restart, kill, update, rollback, revert, remove, …")
    by: str = Field(description="Who asked for it: `key:NAME` or `system`")
    reason: str = Field(description="Their own words")
    since: datetime = Field(description="When it began")
    serial: int = Field(description="Its number; each action of an instance has a higher one")


class HeldPort(BaseModel):
    """A port of its node that an instance holds, through restarts and revisions."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="Its name, or its number in the container where it has none")
    protocol: str = Field(description="tcp, udp or sctp")
    number: int = Field(description="Number on the node; of several in a row the first")
    count: int = Field(description="How many in a row")


class Instance(BaseModel):
    """Something that stays up on a node for somebody, with a life of its own."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Id of the instance")
    name: str = Field(description="For people")
    labels: dict[str, str] = Field(description="To search by")
    node: str = Field(description="Id of its node")
    group: str = Field(description="Its group; empty for none")
    desired: Desired = Field(description="What its users want")
    state: InstanceState = Field(description="As its node tells it; `unknown` while the node is away")
    reason: InstanceReason | None = Field(description="Why it is in this state, where nobody asked for it")
    message: str
    revision: int = Field(description="Number of the revision that is current")
    running_revision: int = Field(
        description="The one that its node has: not the current one where that could not take over; 0 for none"
    )
    image: str = Field(description="Image of the current revision")
    digest: str = Field(description="What the node found under that name; empty until it has")
    ports: list[str]
    held_ports: list[HeldPort] = Field(description="Ports of the node that it holds")
    crash_count: int = Field(description="Crashes within the window of its crash budget")
    exit_code: int | None
    since: datetime = Field(description="When it came into its state, by the node's clock")
    serial: int = Field(description="Number of its newest action")
    operation: Operation | None = Field(description="The action that goes on; null for none")
    held: InstanceReason | None = Field(description="Why it stands still although it should run")
    container_id: str = Field(description="Id of its container; empty while there is none")
    pipeline: str = Field(description="Name of the pipeline that made it; empty for none")
    step: str = Field(description="The step that made it; empty for none")
    run: str = Field(description="The run that made its newest revision; empty for none")
    created_at: datetime
    created_by: str
    updated_at: datetime
    expires_at: datetime | None = Field(description="When it stops by itself; null for never")
    version: int = Field(description="Counts the changes of what is stored")

    @classmethod
    def of(cls, seen: SeenInstance) -> Self:
        row = seen.row
        fields = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls(
            **(fields | {"node": row.node_id, "image": seen.image, "run": row.run_id} | _held(seen) | _observed(seen))
        )


class InstanceList(BaseModel):
    """A page of instances."""

    items: list[Instance]
    next_cursor: str | None = None


def _held(seen: SeenInstance) -> dict[str, Any]:
    return {"held_ports": [HeldPort.model_validate(port) for port in seen.ports]}


def _observed(seen: SeenInstance) -> dict[str, Any]:
    """The state as far as anybody knows it now. Of an instance whose node is away nobody does."""
    row, node = seen.row, seen.node
    if node is None:
        why, reason = f"node {row.node_id} was removed", InstanceReason.NODE_REMOVED
    elif not NodeStatus(node.status).reachable:
        heard = f"since {node.last_seen_at:%Y-%m-%d %H:%M:%S} UTC" if node.last_seen_at else "and never was there"
        why, reason = f"node {node.id} is offline {heard}", InstanceReason.NODE_OFFLINE
    else:
        return {}
    if row.state == InstanceState.CREATING:
        return {"reason": reason, "message": f"{why}; the instance waits for it"}
    return {"state": InstanceState.UNKNOWN, "reason": reason, "message": f"{why}; it was {row.state}"}


def shown(seen: SeenInstance) -> Instance:
    return shown_item(seen, Instance.of, f"instance {seen.row.id}")


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=Instance,
    responses={200: {"model": Instance, "description": "The instance that this Idempotency-Key made before"}}
    | problems(NotFoundError, ConflictError)
    | SPEC,
    dependencies=[needs(Verb.EDIT, ObjectKind.INSTANCE, judged=Judged.BODY)],
)
async def create_instance(
    body: InstanceCreate,
    request: Request,
    response: Response,
    caller: CallerDep,
    instances: InstancesDep,
    parts: PartsDep,
    key: Key = None,
) -> Instance:
    """Checks an instance and makes it: it starts on its node, and stays up there. 422 lists every problem at once. The
    body may be a file of YAML, as `application/yaml`."""
    parts.check_room()
    seen, is_new = await instances.create(body.submission(await request.body(), key), caller.access)
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    response.headers["Location"] = f"/api/v1/instances/{seen.row.id}"
    return shown(seen)


@router.get("", dependencies=[needs(Verb.SEE, ObjectKind.INSTANCE, judged=Judged.LIST)])
async def list_instances(
    instances: InstancesDep,
    scope: SeenInstances,
    state: Annotated[list[InstanceState] | None, Query(max_length=20)] = None,
    node: Annotated[str | None, Query(max_length=63, pattern=NO_NUL)] = None,
    pipeline: Annotated[str | None, Query(max_length=63, pattern=NO_NUL, description="Pipeline name")] = None,
    group: Annotated[str | None, Query(max_length=63, pattern=NO_NUL, description="Group of instances")] = None,
    prefix: Annotated[str | None, Query(max_length=63, pattern=NO_NUL, description="The beginning of the id")] = None,
    label: Annotated[str | None, Query(max_length=500, pattern=NO_NUL, description="`key=value`")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> InstanceList:
    """Instances, by their ids."""
    wanted = InstanceFilter(
        node_id=node,
        states=state or (),
        label=label_pair(label) if label else None,
        pipeline=pipeline,
        group=group,
        id_prefix=prefix,
    )
    found, next_cursor = await instances.page(wanted, scope, cursor=cursor, limit=limit)
    items: list[Instance] = []
    for seen in found:
        with instances.odd_rows.row(f"instance {seen.row.id}"):
            items.append(Instance.of(seen))
    return InstanceList(items=items, next_cursor=next_cursor)


@router.get("/{instance_id}", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.INSTANCE)])
async def get_instance(instance_id: InstanceId, instances: InstancesDep) -> Instance:
    """One instance."""
    return shown(await instances.get(instance_id))


@router.patch("/{instance_id}", responses=problems(NotFoundError), dependencies=[needs(Verb.EDIT, ObjectKind.INSTANCE)])
async def edit_instance(
    instance_id: InstanceId, body: InstanceEdit, caller: CallerDep, instances: InstancesDep
) -> Instance:
    """Changes name, labels or the end of its time. What it is made of is changed by an update."""
    fields = body.model_dump(exclude_unset=True)
    nothing = [name for name in ("name", "labels", "pipeline") if name in fields and fields[name] is None]
    if nothing:
        raise InvalidError(f"{nothing[0]} can't be null", hint="leave it out to keep it")
    if fields.get("expires_at") is not None:
        fields["expires_at"] = _to_come(fields["expires_at"])
    return shown(await instances.edit(instance_id, fields, caller.access))


def _to_come(moment: datetime) -> datetime:
    """The moment as UTC, which those at the ends of the calendar don't have in every zone."""
    now = utc_now()
    if moment.tzinfo is None or not now < moment < now + MAX_EXPIRY:
        raise InvalidError(
            "expires_at is no time to come, or more than 100 years away",
            hint="write it with a time zone: 2026-11-24T02:12:45Z",
        )
    return moment.astimezone(UTC)


@router.delete(
    "/{instance_id}",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.EDIT, ObjectKind.INSTANCE)],
)
async def delete_instance(
    instance_id: InstanceId,
    instances: InstancesDep,
    power: InstancePowerDep,
    volumes: Annotated[bool, Query(description="Remove its own volumes as well")] = False,
) -> Instance:
    """Stops it and removes it with its containers, whatever else goes on. Then it is in no list any more."""
    before = await instances.get(instance_id)
    await power.remove(instance_id, volumes=volumes)
    try:
        return shown(await instances.get(instance_id))
    except NotFoundError:  # it is gone already
        return shown(before).model_copy(update={"state": InstanceState.DELETED, "desired": Desired.REMOVED})
