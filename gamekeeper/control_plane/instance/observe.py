"""Writes what the keeper of an instance tells. Of one instance the report with the highest number stands."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.event_log import record
from gamekeeper.db.models import InstanceRow
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.domain.instance.told import believed_serial, bounded


def observe(session: AsyncSession, row: InstanceRow, told: InstanceStatus, *, complete: bool = False) -> bool:
    """Keeps the status; an event tells of what is new about it. False for one that is no news.

    A report that is ``complete`` is the newest of its session. A machine that was set up anew counts from 1 again.
    """
    status = bounded(told)
    is_known = (status.seq, status.serial) == (row.reported_seq, row.reported_serial)
    if is_known or (status.seq <= row.reported_seq and not complete) or row.deleted_at is not None:
        return False
    if _is_event(row, status):
        record(session, _event(row, status))
    row.state = status.state.value
    row.reason = status.reason.value if status.reason else None
    row.message = status.message
    row.since = status.since
    row.running_revision = status.revision
    row.reported_serial = believed_serial(status.serial, row.serial, row.reported_serial)
    row.reported_seq = status.seq
    for name in ("crash_count", "exit_code", "container_id", "digest", "ports"):
        setattr(row, name, getattr(status, name))
    return True


def _is_event(row: InstanceRow, status: InstanceStatus) -> bool:
    """True for a new state or message, and for another revision, container or crash behind the same ones: what came in
    between was told to nobody, as of a node whose agent died while the control plane was away."""
    is_same = (row.state, row.message) == (status.state.value, status.message)
    was_replaced = row.running_revision != status.revision or status.container_id not in ("", row.container_id)
    return not is_same or status.crash_count > row.crash_count or (was_replaced and status.state is InstanceState.READY)


def _event(row: InstanceRow, status: InstanceStatus) -> Event:
    return Event(
        kind=EventKind.of("instance", status.state.value),
        node=row.node_id,
        instance=row.id,
        reason=status.reason or "",
        message=status.message,
        data={
            "revision": status.revision,
            "exit_code": status.exit_code,
            "crash_count": status.crash_count,
            "container_id": status.container_id,
        },
        node_at=status.since,
    )
