"""Routes of schedules: those of stored pipelines, which start runs by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import SAFE_ID, CallerDep, PartsDep, SchedulesDep
from api.needs import Judged, SeenPipelines, needs
from api.problems import SPEC, problems
from api.rest.body import Body
from api.rest.fields import ZonedMoment
from api.rest.v1.pipeline import PipelineName
from api.services.run.schedule import ScheduleCall
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.language.cron import Overlap
from gamekeeper.domain.run.schedule import StandingSchedule
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(tags=["schedules"])

ScheduleId = Annotated[str, Path(max_length=80, pattern=SAFE_ID)]


class SchedulesApply(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"args": {"map": "dm1"}, "node": "gpu-01"}]}
    )

    version: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Pins it; the newest at each time")
    args: dict[str, Any] = Field(default_factory=dict, max_length=500)
    envs: dict[str, str] = Field(default_factory=dict, max_length=500)
    node: str | None = Field(default=None, max_length=63)


class PauseRequest(Body):
    model_config = ConfigDict(extra="forbid")

    note: str = Field(default="", max_length=500, description="Why, for those who look later")


class BackfillRequest(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"}]},
    )

    start: ZonedMoment = Field(alias="from", description="Is of the span, as `to` is; at most five years back")
    end: ZonedMoment = Field(alias="to")
    overlap: Overlap = Field(default="queue", description="What of runs that would go on at once")


class Schedule(BaseModel):
    """`missed` counts times whose run was skipped, because the one before went on or it was too late."""

    id: str
    pipeline: str
    version: int | None
    cron: str = Field(description="As it was written")
    timezone: str
    overlap: Overlap
    catch_up: float = Field(description="Seconds")
    args: dict[str, Any]
    envs: dict[str, str]
    node: str | None
    paused: bool
    note: str
    running: int
    missed: int
    last_at: datetime | None
    next_at: list[datetime] = Field(
        description="Temporal's own word. Around a change of clocks a second past the minute"
    )
    created_by: str

    @classmethod
    def of(cls, schedule: StandingSchedule) -> Schedule:
        flat = schedule.spec.model_dump() | schedule.runs.model_dump() | schedule.model_dump(exclude={"spec", "runs"})
        return cls(**{name: flat[name] for name in cls.model_fields})


class ScheduleList(BaseModel):
    items: list[Schedule]


class Backfill(BaseModel):
    runs: int = Field(description="How many runs it starts")


@router.put(
    "/pipelines/{name}/schedules",
    responses=problems(NotFoundError, ConflictError) | SPEC,
    dependencies=[needs(Verb.EDIT, ObjectKind.PIPELINE)],
)
async def apply_schedules(
    name: PipelineName, caller: CallerDep, schedules: SchedulesDep, body: SchedulesApply | None = None
) -> ScheduleList:
    """Makes a stored pipeline's schedules what its own `schedule` says: new ones begin, others change or end."""
    call = ScheduleCall(**(body or SchedulesApply()).model_dump())
    return ScheduleList(items=[Schedule.of(schedule) for schedule in await schedules.apply(name, call, caller.access)])


@router.get("/schedules", dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE, judged=Judged.LIST)])
async def list_schedules(schedules: SchedulesDep, scope: SeenPipelines) -> ScheduleList:
    """All schedules, each with its next times."""
    return ScheduleList(items=[Schedule.of(schedule) for schedule in await schedules.list_all(scope)])


@router.get(
    "/schedules/{schedule}", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE)]
)
async def get_schedule(schedule: ScheduleId, schedules: SchedulesDep) -> Schedule:
    """One schedule with its next times."""
    return Schedule.of(await schedules.get(schedule))


@router.delete(
    "/schedules/{schedule}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.EDIT, ObjectKind.PIPELINE)],
)
async def delete_schedule(schedule: ScheduleId, schedules: SchedulesDep) -> None:
    """Runs that it has started go on."""
    await schedules.delete(schedule)


@router.post(
    "/schedules/{schedule}/pause",
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def pause_schedule(schedule: ScheduleId, schedules: SchedulesDep, body: PauseRequest | None = None) -> Schedule:
    """No run of it starts until `resume`. Runs that it has started go on."""
    return Schedule.of(await schedules.set_paused(schedule, True, body.note if body else ""))


@router.post(
    "/schedules/{schedule}/resume",
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def resume_schedule(schedule: ScheduleId, schedules: SchedulesDep, body: PauseRequest | None = None) -> Schedule:
    """Times that passed meanwhile are not made up for: that is what a backfill is for."""
    return Schedule.of(await schedules.set_paused(schedule, False, body.note if body else ""))


@router.post(
    "/schedules/{schedule}/trigger",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def trigger_schedule(schedule: ScheduleId, schedules: SchedulesDep, parts: PartsDep) -> Schedule:
    """One run now, whatever else of it goes on. `GET /runs?schedule=` shows it."""
    parts.check_room()
    return Schedule.of(await schedules.trigger(schedule))


@router.post(
    "/schedules/{schedule}/backfill",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def backfill_schedule(
    schedule: ScheduleId, body: BackfillRequest, schedules: SchedulesDep, parts: PartsDep
) -> Backfill:
    """Starts the runs of a span of the past, at most 1,000."""
    parts.check_room()
    return Backfill(runs=await schedules.backfill(schedule, body.start, body.end, body.overlap))
