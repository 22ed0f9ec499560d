"""Schedules of instances as rows, for the API and for workflows: how one is set, and what is written of its firings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.event_log import record
from gamekeeper.db.models import InstanceRow, InstanceScheduleRow
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.db.repositories.instance_schedule import InstanceScheduleRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.control import ActionFinish
from gamekeeper.domain.instance.schedule import (
    BY,
    MAX_SCHEDULES,
    FiringOutcome,
    InstanceScheduleTerms,
    ScheduledAction,
    ScheduleTimes,
    spec_of,
)
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.errors import ConflictError

_MESSAGE = 500


async def set_schedule(session: AsyncSession, row: InstanceRow, name: str, wanted: ScheduleTimes, by: str) -> bool:
    """Writes the schedule as it is wanted; True for a new one. One that is this already stays as it is.

    Raises ConflictError for one too many.
    """
    schedules = InstanceScheduleRepository(session)
    known = await schedules.find_whatever(row.id, name)
    is_new = known is None or known.is_removed
    if is_new:
        await _check_room(schedules, row.id)
    fields: dict[str, Any] = {
        "cron": storable(wanted.cron),
        "timezone": wanted.timezone,
        "action": wanted.does.value,
        "command": wanted.command or "",
        "catch_up": wanted.catch_up,
    }
    if wanted.paused is not None or is_new:
        fields["paused"] = bool(wanted.paused)
    if known is None or is_new:
        known = _begun_anew(known, InstanceScheduleRow(instance_id=row.id, name=name, created_by=by, **fields))
        schedules.add(known)
    elif all(getattr(known, field) == value for field, value in fields.items()):
        return False
    else:
        for field, value in fields.items():
            setattr(known, field, value)
        changed(known)
    tell(session, row, known, EventKind.INSTANCE_SCHEDULE_SET, in_words(known), by)
    return is_new


async def _check_room(schedules: InstanceScheduleRepository, instance_id: str) -> None:
    if len(await schedules.of(instance_id)) >= MAX_SCHEDULES:
        message = f'instance "{instance_id}" has {MAX_SCHEDULES} schedules already'
        raise ConflictError(message, hint=f"remove one: gamekeeper instance schedule rm {instance_id} NAME")


def _begun_anew(before: InstanceScheduleRow | None, new: InstanceScheduleRow) -> InstanceScheduleRow:
    """The row of a name; one that was removed, and that Temporal may still have, is taken again."""
    if before is None:
        return new
    for field in InstanceScheduleRow.model_fields.keys() - {"version", "missed"}:
        setattr(before, field, getattr(new, field))
    before.version += 1
    return before


def changed(schedule: InstanceScheduleRow) -> None:
    """Temporal has to hear of it."""
    schedule.is_told, schedule.version, schedule.updated_at = False, schedule.version + 1, utc_now()


def in_words(schedule: InstanceScheduleRow) -> str:
    does = f'types "{schedule.command}"' if schedule.action == ScheduledAction.COMMAND else schedule.action
    return f"{schedule.cron} {schedule.timezone}: {does}"


def terms_of(schedule: InstanceScheduleRow, *, by_hand: bool = False) -> InstanceScheduleTerms:
    spec = spec_of(schedule.cron, schedule.timezone, schedule.catch_up)
    return InstanceScheduleTerms(instance=schedule.instance_id, name=schedule.name, spec=spec, by_hand=by_hand)


def tell(
    session: AsyncSession,
    row: InstanceRow,
    schedule: InstanceScheduleRow,
    kind: EventKind,
    message: str = "",
    by: str = "",
    reason: str = "",
    more: Mapping[str, object] | None = None,
) -> None:
    """``more`` goes into the event's data."""
    text = storable(f"{schedule.name}: {message}" if message else schedule.name)
    data = {"schedule": schedule.name, "action": schedule.action, **(more or {})}
    record(
        session,
        Event(kind=kind, node=row.node_id, instance=row.id, message=text, reason=reason, data=data, actor=by),
    )


def note(
    session: AsyncSession,
    row: InstanceRow,
    schedule: InstanceScheduleRow,
    outcome: FiringOutcome,
    message: str = "",
) -> None:
    """Writes the outcome of the newest firing. Its event comes with the last word, not with the first."""
    schedule.last_outcome, schedule.last_message = outcome.value, storable(message)[:_MESSAGE]
    if outcome is FiringOutcome.BEGUN:
        return
    kind = EventKind.INSTANCE_SCHEDULE_FIRED
    if outcome is FiringOutcome.MISSED:
        kind = EventKind.INSTANCE_SCHEDULE_MISSED
    does = schedule.command if schedule.action == ScheduledAction.COMMAND else schedule.action
    words = f"{does}: {message}" if message else does
    tell(session, row, schedule, kind, words, f"{BY}{schedule.name}", outcome.value)


async def note_end(session: AsyncSession, row: InstanceRow, ended: ActionFinish) -> None:
    """Writes the outcome of a firing whose power action has ended."""
    schedule = await _begun_by(session, row)
    if schedule is None:
        return
    if ended.outcome is None:
        note(session, row, schedule, FiringOutcome.FAILED, ended.failure)
        return
    status = ended.outcome.status
    is_stop = schedule.action == ScheduledAction.STOP
    is_done = status.state is InstanceState.STOPPED if is_stop else ended.outcome.is_ready
    told = ": ".join(filter(None, (status.state.value, status.message)))
    note(session, row, schedule, FiringOutcome.DONE if is_done else FiringOutcome.FAILED, "" if is_done else told)


async def note_replaced(session: AsyncSession, row: InstanceRow, by: str) -> None:
    """Writes the outcome of a firing whose power action another one takes the place of."""
    schedule = await _begun_by(session, row)
    if schedule is not None:
        note(session, row, schedule, FiringOutcome.FAILED, f"{by} took its place")


async def _begun_by(session: AsyncSession, row: InstanceRow) -> InstanceScheduleRow | None:
    """The schedule whose action goes on."""
    by = str((row.operation or {}).get("by", ""))
    if not by.startswith(BY):
        return None
    schedule = await InstanceScheduleRepository(session).find(row.id, by.removeprefix(BY))
    return schedule if schedule is not None and schedule.last_outcome == FiringOutcome.BEGUN else None
