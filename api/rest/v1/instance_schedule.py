"""Routes of an instance's schedules: when it is started, stopped or restarted by itself, or gets a line typed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response, status
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import NO_NUL, InstanceSchedulesDep, PartsDep
from api.needs import needs
from api.problems import SPEC, problems
from api.rest.body import Body
from api.rest.items import shown_item
from api.rest.v1.instance import INSTANCE_ID, InstanceId, Key
from api.services.instance.schedule import SeenSchedule
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.instance.document import read_document
from gamekeeper.domain.instance.schedule import FiringOutcome, ScheduledAction, ScheduleTimes
from gamekeeper.domain.language.problem import ProblemList
from gamekeeper.domain.language.source import Document
from gamekeeper.errors import ConflictError, NotFoundError, SpecError

router = APIRouter(prefix="/instances/{instance_id}/schedules", tags=["instances"])

ScheduleName = Annotated[str, Path(max_length=63, pattern=INSTANCE_ID, description="Name of the schedule")]


class InstanceScheduleBody(Body):
    """The times of a schedule and what it does: `action` or `command`. All problems are told at once."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"cron": "0 5 * * *", "timezone": "Europe/Berlin", "action": "restart"}]},
    )

    cron: Any = Field(default=None, description="Minute, hour, day, month and weekday, or `@daily` and the like")
    timezone: Any = Field(default=None, description="IANA name, as `Europe/Berlin`; UTC by default")
    action: Any = Field(default=None, description="start, stop or restart")
    command: Any = Field(default=None, description="One line for its console, instead of an action")
    catch_up: Any = Field(default=None, description="How late a time may still be made up for; `10m` by default")
    paused: Any = Field(
        default=None, description="No time of it comes until it is resumed; left out, it stays as it is"
    )

    def times(self) -> ScheduleTimes:
        """Raises SpecError with every problem."""
        found = ProblemList()
        times = read_document(Document(self.model_dump(exclude_unset=True)), ScheduleTimes, found)
        if times is None or found.problems:
            raise SpecError(found.problems, "schedule")
        return times


class InstancePause(Body):
    """Words of somebody who pauses a schedule, or resumes it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"note": "tournament"}]})

    note: str = Field(default="", max_length=500, pattern=NO_NUL, description="Words for those who look later")


class InstanceSchedule(BaseModel):
    """A schedule of an instance, with its next times and the outcome of its last one."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="Its name; it is unique among those of the instance")
    cron: str = Field(description="As it was written")
    timezone: str = Field(description="IANA name of the zone of the cron line")
    action: ScheduledAction = Field(description="start, stop, restart, or command")
    command: str = Field(description="The line for the console; empty for another action")
    catch_up: str = Field(description="How late a time may still be made up for")
    paused: bool = Field(description="True while no time of it comes")
    note: str = Field(description="Words of whoever paused it, or resumed it")
    next_at: list[datetime] = Field(
        description="Temporal's own word. Around a change of clocks a second past the minute"
    )
    last_at: datetime | None = Field(description="The newest time that came; null for none")
    last_outcome: FiringOutcome | None = Field(description="What became of it; `begun` while its action goes on")
    last_message: str = Field(description="Why it was not done")
    missed: int = Field(description="Times that were left out, by Temporal's own count, which may count one twice")
    created_at: datetime
    created_by: str
    updated_at: datetime

    @classmethod
    def of(cls, seen: SeenSchedule) -> InstanceSchedule:
        row = seen.row
        fields = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls(**(fields | {"last_outcome": row.last_outcome or None, "next_at": list(seen.next_at)}))


class InstanceScheduleList(BaseModel):
    """The schedules of an instance, by their names."""

    items: list[InstanceSchedule]


def shown(seen: SeenSchedule) -> InstanceSchedule:
    return shown_item(seen, InstanceSchedule.of, f"schedule {seen.row.name} of instance {seen.row.instance_id}")


@router.get("", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.INSTANCE)])
async def list_instance_schedules(instance_id: InstanceId, schedules: InstanceSchedulesDep) -> InstanceScheduleList:
    """All schedules of an instance, each with its next times."""
    return InstanceScheduleList(items=[shown(seen) for seen in await schedules.list_all(instance_id)])


@router.get("/{name}", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.INSTANCE)])
async def get_instance_schedule(
    instance_id: InstanceId, name: ScheduleName, schedules: InstanceSchedulesDep
) -> InstanceSchedule:
    """One schedule with its next times."""
    return shown(await schedules.get(instance_id, name))


@router.put(
    "/{name}",
    response_model=InstanceSchedule,
    responses={201: {"model": InstanceSchedule, "description": "The schedule, which is new"}}
    | problems(NotFoundError, ConflictError)
    | SPEC,
    dependencies=[needs(Verb.EDIT, ObjectKind.INSTANCE)],
)
async def apply_instance_schedule(
    instance_id: InstanceId,
    name: ScheduleName,
    body: InstanceScheduleBody,
    response: Response,
    schedules: InstanceSchedulesDep,
) -> InstanceSchedule:
    """Makes the schedule, or makes the one of that name what the body says. The instance goes on as it is."""
    seen, is_new = await schedules.put(instance_id, name, body.times())
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    return shown(seen)


@router.delete(
    "/{name}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.EDIT, ObjectKind.INSTANCE)],
)
async def delete_instance_schedule(
    instance_id: InstanceId, name: ScheduleName, schedules: InstanceSchedulesDep
) -> None:
    """Its next times are gone; an action that it has begun goes on."""
    await schedules.remove(instance_id, name)


@router.post("/{name}/pause", responses=problems(NotFoundError), dependencies=[needs(Verb.POWER, ObjectKind.INSTANCE)])
async def pause_instance_schedule(
    instance_id: InstanceId, name: ScheduleName, schedules: InstanceSchedulesDep, body: InstancePause | None = None
) -> InstanceSchedule:
    """No time of it comes until `resume`."""
    return shown(await schedules.set_paused(instance_id, name, True, body.note if body else ""))


@router.post("/{name}/resume", responses=problems(NotFoundError), dependencies=[needs(Verb.POWER, ObjectKind.INSTANCE)])
async def resume_instance_schedule(
    instance_id: InstanceId, name: ScheduleName, schedules: InstanceSchedulesDep, body: InstancePause | None = None
) -> InstanceSchedule:
    """Times that passed meanwhile are not made up for."""
    return shown(await schedules.set_paused(instance_id, name, False, body.note if body else ""))


@router.post(
    "/{name}/trigger",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.POWER, ObjectKind.INSTANCE)],
)
async def trigger_instance_schedule(
    instance_id: InstanceId, name: ScheduleName, schedules: InstanceSchedulesDep, parts: PartsDep, key: Key = None
) -> InstanceSchedule:
    """Has it do its work once now, also while it is paused; `last_outcome` tells what came of it."""
    parts.check_room()
    return shown(await schedules.trigger(instance_id, name, key))
