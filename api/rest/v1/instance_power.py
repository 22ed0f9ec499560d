"""Routes that act on an instance: power, and its revisions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, status
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import NO_NUL, CallerDep, InstancePowerDep, InstancesDep, Limit
from api.needs import needs
from api.problems import SPEC, problems
from api.rest.body import Body
from api.rest.fields import NEVER_NULL
from api.rest.v1.instance import Instance, InstanceId, Key, RevisionBody, shown
from api.rest.yaml_body import YamlRoute
from api.services.instance.power import Revision
from gamekeeper.control_plane.instance.plan import InstanceSubmission
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.instance.control import PowerAction
from gamekeeper.domain.language.step import Strategy
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(prefix="/instances", tags=["instances"], route_class=YamlRoute)

RevisionNumber = Annotated[int, Path(ge=1, le=1_000_000)]
ACTS = problems(NotFoundError, ConflictError)


class PowerReason(Body):
    """The reason of somebody who acts on an instance."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "new map"}]})

    reason: str = Field(default="", max_length=500, pattern=NO_NUL, description="Words for those who look later")


class InstanceUpdate(RevisionBody):
    """The parts that the next revision has anew; what is left out stays as it was."""

    auto_revert: Annotated[bool | None, NEVER_NULL] = Field(
        default=None, description="Go back to the revision before when the new one isn't ready"
    )
    strategy: Annotated[Strategy | None, NEVER_NULL] = Field(
        default=None, description="recreate, the default, or blue_green: see `docs/instances.md`"
    )


class Rollback(Body):
    """An older revision that is to be current again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"revision": 3}]})

    revision: int | None = Field(default=None, ge=1, le=1_000_000, description="Its number; the one before by default")
    auto_revert: bool = Field(default=False, description="Go back when that one does not get ready either")
    strategy: Strategy = Field(default=Strategy.RECREATE, description="As of an update")


class InstanceRevision(BaseModel):
    """A revision of an instance: what it is made of. It never changes."""

    revision: int = Field(description="Its number")
    created_at: datetime
    created_by: str
    run: str = Field(description="The run that made it; empty for none")
    current: bool = Field(description="True for the one that runs, or would")
    changes: list[str] = Field(description="What is different from the revision before, or from `diff`, in words")

    @classmethod
    def of(cls, revision: Revision) -> InstanceRevision:
        row = revision.row
        return cls(
            revision=row.revision,
            created_at=row.created_at,
            created_by=row.created_by,
            run=row.run_id,
            current=revision.is_current,
            changes=list(revision.changes),
        )


class InstanceRevisionWhole(InstanceRevision):
    """A revision with its spec."""

    spec: dict[str, Any] = Field(description="All that it is made of, in the words of `POST /instances`")


class InstanceRevisionList(BaseModel):
    """The revisions of an instance, newest first."""

    items: list[InstanceRevision]


class Asked:
    """A request for one of the actions that take no more than a reason."""

    def __init__(
        self,
        instance_id: InstanceId,
        power: InstancePowerDep,
        instances: InstancesDep,
        body: PowerReason | None = None,
        key: Key = None,
    ) -> None:
        self._instance = instance_id
        self._power = power
        self._instances = instances
        self._reason = body.reason if body else ""
        self._key = key

    async def act(self, action: PowerAction) -> Instance:
        await self._power.power(self._instance, action, self._reason, self._key)
        return shown(await self._instances.get(self._instance))


AskedDep = Annotated[Asked, Depends()]


@router.post(
    "/{instance_id}/start",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ACTS,
    dependencies=[needs(Verb.POWER, ObjectKind.INSTANCE)],
)
async def start_instance(asked: AskedDep) -> Instance:
    """Starts it, after a crash loop as well. 409 while another action goes on, as for all of them but kill."""
    return await asked.act(PowerAction.START)


@router.post(
    "/{instance_id}/stop",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ACTS,
    dependencies=[needs(Verb.POWER, ObjectKind.INSTANCE)],
)
async def stop_instance(asked: AskedDep) -> Instance:
    """Stops it: by its own command or signal, then by TERM, then by KILL. It stays stopped until somebody starts it."""
    return await asked.act(PowerAction.STOP)


@router.post(
    "/{instance_id}/restart",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ACTS,
    dependencies=[needs(Verb.POWER, ObjectKind.INSTANCE)],
)
async def restart_instance(asked: AskedDep) -> Instance:
    """Stops it and starts the same container again."""
    return await asked.act(PowerAction.RESTART)


@router.post(
    "/{instance_id}/kill",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ACTS,
    dependencies=[needs(Verb.POWER, ObjectKind.INSTANCE)],
)
async def kill_instance(asked: AskedDep) -> Instance:
    """Ends its process at once, and takes the place of whatever goes on. It stays stopped until somebody starts it."""
    return await asked.act(PowerAction.KILL)


@router.post(
    "/{instance_id}/update",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ACTS | SPEC,
    dependencies=[needs(Verb.EDIT, ObjectKind.INSTANCE)],
)
async def update_instance(
    instance_id: InstanceId,
    body: InstanceUpdate,
    request: Request,
    caller: CallerDep,
    power: InstancePowerDep,
    instances: InstancesDep,
    key: Key = None,
    auto_revert: Annotated[bool, Query(description="As `auto_revert` of the body")] = False,
    strategy: Annotated[Strategy | None, Query(description="As `strategy` of the body")] = None,
) -> Instance:
    """Makes the next revision and puts it in the place of the one that runs. 422 lists every problem at once."""
    submission, reverts, way = _split(body, await request.body(), key)
    strategy = strategy or way or Strategy.RECREATE
    await power.update(instance_id, submission, caller.access, auto_revert=auto_revert or reverts, strategy=strategy)
    return shown(await instances.get(instance_id))


def _split(body: InstanceUpdate, raw: bytes, key: str | None) -> tuple[InstanceSubmission, bool, Strategy | None]:
    """The revision's own part, whether it reverts, and the way to it."""
    whole = body.submission(raw, key)
    own = whole.value if isinstance(whole.value, dict) else {}
    reverts, way = own.pop("auto_revert", None), own.pop("strategy", None)
    return whole, bool(reverts), way


@router.post(
    "/{instance_id}/rollback",
    status_code=status.HTTP_202_ACCEPTED,
    responses=ACTS,
    dependencies=[needs(Verb.EDIT, ObjectKind.INSTANCE)],
)
async def rollback_instance(
    instance_id: InstanceId,
    caller: CallerDep,
    power: InstancePowerDep,
    instances: InstancesDep,
    body: Rollback | None = None,
    key: Key = None,
) -> Instance:
    """Takes an older revision: the one before the current one, or the one that is named."""
    wanted = body or Rollback()
    await power.rollback(
        instance_id, wanted.revision, caller.access, auto_revert=wanted.auto_revert, strategy=wanted.strategy, key=key
    )
    return shown(await instances.get(instance_id))


@router.get(
    "/{instance_id}/revisions", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.INSTANCE)]
)
async def list_instance_revisions(
    instance_id: InstanceId,
    power: InstancePowerDep,
    before: Annotated[int | None, Query(ge=1, le=1_000_000, description="Only those older than this one")] = None,
    limit: Limit = 100,
) -> InstanceRevisionList:
    """The newest revisions, newest first, each with its changes in words."""
    found = await power.revisions(instance_id, before=before, limit=limit)
    return InstanceRevisionList(items=[InstanceRevision.of(item) for item in found])


@router.get(
    "/{instance_id}/revisions/{revision}",
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.SEE, ObjectKind.INSTANCE)],
)
async def get_instance_revision(
    instance_id: InstanceId,
    revision: RevisionNumber,
    power: InstancePowerDep,
    diff: Annotated[int | None, Query(ge=1, le=1_000_000, description="Tell the changes since this revision")] = None,
) -> InstanceRevisionWhole:
    """One revision with all that it is made of."""
    found = await power.revision(instance_id, revision, diff)
    spec = found.spec.model_dump(mode="json", exclude_unset=True)
    return InstanceRevisionWhole(**InstanceRevision.of(found).model_dump(), spec=spec)
