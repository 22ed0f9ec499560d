"""Routes of alarms. Each belongs to the object that it is about: whoever may see that sees it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from fastapi import APIRouter, Path, Query, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.dependencies import SAFE_ID, AlarmsDep, CallerDep, Cursor, Limit
from api.needs import SightDep, needs_on_alarm, needs_on_anything
from api.problems import problems
from api.rest.body import Body
from api.rest.items import shown_item, shown_items
from api.rest.v1.silence import MAX_REASON, Silence, silence_lifetime
from api.services.alarm.alarm import SeenAlarm
from gamekeeper.db.models import AlarmRow
from gamekeeper.domain.access.verb import Verb
from gamekeeper.domain.alarm.alarm_filter import AlarmFilter
from gamekeeper.domain.alarm.severity import Severity
from gamekeeper.domain.alarm.state import LIVE, RAISED, AlarmState
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(prefix="/alarms", tags=["alarms"])

AlarmId = Annotated[
    str, Path(max_length=16, pattern=SAFE_ID, description="Id of the alarm", examples=["9f2c61d07ab3e854"])
]


class AlarmStates(StrEnum):
    """The alarms that a list has."""

    OPEN = "open"
    PENDING = "pending"
    CLOSED = "closed"
    ALL = "all"

    @property
    def states(self) -> frozenset[AlarmState]:
        return {
            AlarmStates.OPEN: RAISED,
            AlarmStates.PENDING: frozenset({AlarmState.PENDING}),
            AlarmStates.CLOSED: frozenset({AlarmState.CLOSED}),
            AlarmStates.ALL: LIVE | {AlarmState.CLOSED},
        }[self]


class AlarmAcknowledge(Body):
    """A word of whoever takes an alarm on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"note": "I look at it"}]})

    note: str = Field(default="", max_length=MAX_REASON, description="For others who look at it")


class AlarmClose(Body):
    """The reason to close an alarm by hand."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "seen, and of no matter"}]})

    reason: str = Field(default="", max_length=MAX_REASON, description="For those who look later")


class AlarmSilence(Body):
    """A silence of an alarm's rule on its object."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"for": "4h", "reason": "the disk is on its way"}]}
    )

    lifetime: Annotated[str, Field(max_length=40), AfterValidator(silence_lifetime)] = Field(
        alias="for", description="How long, 90 days at most: each silence ends by itself"
    )
    reason: str = Field(default="", max_length=MAX_REASON, description="For those who look later")


class AlarmChild(BaseModel):
    """An object that is unknown because of an alarm."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Id of its own alarm")
    kind: str = Field(description="Kind of the object")
    object_id: str = Field(description="Id of the object")
    summary: str = Field(description="Why, in one line")


class Alarm(BaseModel):
    """An alarm: what is wrong, where, since when and why."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Id of the alarm")
    rule: str = Field(description="Id of its rule")
    name: str = Field(description="Name of the rule when it came up")
    severity: Severity = Field(description="`critical` wakes somebody up")
    state: AlarmState = Field(
        description="`pending` has told nobody yet; `clearing` is about to be over; `no_data`: nothing is known now"
    )
    kind: str = Field(description="Kind of the object: node, instance, run, pipeline or server")
    object_id: str = Field(description="Id of the object; empty for the server")
    detail: str = Field(
        description="What of the object, where a rule finds several things; `node` for a node's silence"
    )
    node: str = Field(description="The node that the object is on; empty for none")
    pipeline: str = Field(description="The pipeline of a run; empty for none")
    run: str = Field(description="The newest run that it is about; empty for none")
    labels: dict[str, str] = Field(description="Labels of the object when it came up")
    summary: str = Field(description="Why, in one line")
    note: str = Field(description="What to do, as the rule says it")
    since: datetime | None = Field(description="Since when it is so, as far as is known")
    created_at: datetime = Field(description="When it was seen first")
    raised_at: datetime | None = Field(description="When it was raised; null for one that waits")
    last_at: datetime | None = Field(description="When its last event came")
    count: int = Field(description="How many events it has had")
    closed_at: datetime | None = Field(description="When it ended; null while it stands")
    closed_reason: str = Field(
        description="How it ended: `cleared`, `gone`, `rule`, `expired` or `closed`; empty before"
    )
    closed_by: str = Field(description="Who closed it by hand; empty for nobody")
    parent: str | None = Field(description="The alarm that is the cause of this one; null for none")
    children: int = Field(default=0, description="How many objects are unknown because of it")
    acknowledged_at: datetime | None = Field(description="When somebody took it on; null for never")
    acknowledged_by: str = Field(description="Who took it on; empty for nobody")
    acknowledge_note: str = Field(description="Their words")
    muted: str = Field(description="The silence or window that keeps it from being told; empty for none")
    told: list[str] = Field(description="Channels that were told of it")

    @classmethod
    def of(cls, row: AlarmRow, children: int = 0) -> Self:
        return cls.model_validate(row).model_copy(update={"children": children})


class AlarmDetails(Alarm):
    """An alarm with what it takes with it."""

    affected: list[AlarmChild] = Field(
        default_factory=list, description="Some of its children, as far as you may see them"
    )


class AlarmCounts(BaseModel):
    """Numbers of the alarms that stand; children of a cause are not counted."""

    critical: int = Field(default=0, description="Critical ones that are not muted")
    warning: int = Field(default=0, description="Warnings that are not muted")
    muted: int = Field(default=0, description="Those that a silence or a window mutes")


class AlarmList(BaseModel):
    """A page of alarms, and the numbers of all that stand."""

    items: list[Alarm]
    next_cursor: str | None = None
    counts: AlarmCounts = Field(description="Of all that you may see, whatever the filter")


@router.get("", dependencies=[needs_on_anything(Verb.SEE)])
async def list_alarms(
    alarms: AlarmsDep,
    sight: SightDep,
    state: Annotated[AlarmStates, Query(description="`open` are those that were raised and stand")] = AlarmStates.OPEN,
    severity: Annotated[Severity | None, Query(description="Only of this severity")] = None,
    rule: Annotated[str, Query(max_length=63, description="Only of this rule")] = "",
    node: Annotated[str, Query(max_length=63, description="Only of this node and what is on it")] = "",
    instance: Annotated[str, Query(max_length=63, description="Only of this instance")] = "",
    parent: Annotated[str, Query(max_length=16, description="Only children of this alarm")] = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> AlarmList:
    """Alarms of what you may see, the newest first: those that stand, or their history of 90 days."""
    wanted = AlarmFilter(
        states=state.states,
        severity=severity.value if severity else "",
        rule=rule,
        node=node,
        kind="instance" if instance else "",
        object_id=instance,
        parent=parent,
    )
    page, children = await alarms.page(wanted, sight, cursor=cursor, limit=limit)
    items = shown_items(alarms.odd_rows, page.rows, lambda row: Alarm.of(row, children.get(row.id, 0)))
    counts = _counts(await alarms.counts(sight))
    return AlarmList(items=items, next_cursor=page.next_cursor, counts=counts)


@router.get("/{alarm_id}", responses=problems(NotFoundError), dependencies=[needs_on_alarm(Verb.SEE)])
async def get_alarm(alarm_id: AlarmId, caller: CallerDep, alarms: AlarmsDep) -> AlarmDetails:
    """One alarm, with some of what it takes with it."""
    return _shown(await alarms.get(alarm_id, caller.access))


@router.post(
    "/{alarm_id}/acknowledge",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs_on_alarm(Verb.POWER)],
)
async def acknowledge_alarm(alarm_id: AlarmId, alarms: AlarmsDep, body: AlarmAcknowledge | None = None) -> Alarm:
    """Takes an alarm on: nobody is told of it any more but of its end. The first one who does it stands."""
    return _one(await alarms.acknowledge(alarm_id, (body or AlarmAcknowledge()).note))


@router.post("/{alarm_id}/close", responses=problems(NotFoundError), dependencies=[needs_on_alarm(Verb.POWER)])
async def close_alarm(alarm_id: AlarmId, alarms: AlarmsDep, body: AlarmClose | None = None) -> Alarm:
    """Closes a stale alarm. What still is so comes up again, as a new one."""
    return _one(await alarms.close(alarm_id, (body or AlarmClose()).reason))


@router.post(
    "/{alarm_id}/silence",
    status_code=status.HTTP_201_CREATED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs_on_alarm(Verb.POWER)],
)
async def silence_alarm(alarm_id: AlarmId, body: AlarmSilence, alarms: AlarmsDep) -> Silence:
    """Makes a silence of the alarm's rule on its object, which ends by itself."""
    return Silence.of(await alarms.silence(alarm_id, parse_duration(body.lifetime), body.reason))


def _one(row: AlarmRow) -> Alarm:
    return shown_item(row, Alarm.of, f'the alarm "{row.id}"')


def _shown(seen: SeenAlarm) -> AlarmDetails:
    def show(row: AlarmRow) -> AlarmDetails:
        affected = [AlarmChild.model_validate(child) for child in seen.children]
        return AlarmDetails(**Alarm.of(row, seen.child_count).model_dump(), affected=affected)

    return shown_item(seen.row, show, f'the alarm "{seen.row.id}"')


def _counts(found: dict[tuple[str, bool], int]) -> AlarmCounts:
    return AlarmCounts(
        critical=found.get((Severity.CRITICAL, False), 0),
        warning=found.get((Severity.WARNING, False), 0),
        muted=sum(number for (_, is_muted), number in found.items() if is_muted),
    )
