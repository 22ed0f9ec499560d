"""Keeps what nodes tell of their instances.

A node tells of instances that it keeps, and of no others: what it says of another node's changes nothing. Where it has
another order than the control plane, the instance's workflow hears of it, and gives the newest one again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.bucket import Bucket
from gamekeeper.control_plane.instance.observe import observe
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import InstanceRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.errors import GamekeeperError, NotFoundError
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.instance_workflows import InstanceWorkflows

UNKNOWN_EVENTS_PER_SECOND = 0.1
UNKNOWN_EVENTS_AT_ONCE = 100.0


@dataclass
class _Found:
    """``differing`` have another order on the node than here, ``left_over`` are there and were deleted here."""

    differing: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)


class InstanceReportService:
    """``nodes`` are those whose agents have told of instances, so they keep some or would."""

    def __init__(self, database: Database, workflows: InstanceWorkflows) -> None:
        self._database = database
        self._workflows = workflows
        self._unknown: dict[str, Bucket] = {}
        self.nodes: set[str] = set()
        self.care = Supervised("instance_reports")

    async def observe(self, node_id: str, statuses: Sequence[InstanceStatus], *, complete: bool) -> list[str]:
        """Keeps the statuses in one transaction; returns the instances among them that were deleted here. A report that
        is ``complete`` also tells what the node lacks."""
        self.nodes.add(node_id)
        async with self._database.write() as session:
            found = await self._keep(session, node_id, statuses, complete=complete)
        for instance in found.differing:
            await self._reconcile(instance)
        return found.left_over

    async def _keep(
        self, session: AsyncSession, node_id: str, statuses: Sequence[InstanceStatus], *, complete: bool
    ) -> _Found:
        instances, found = InstanceRepository(session), _Found()
        rows = await instances.find_many([status.instance for status in statuses])
        for status in statuses:
            row = rows.get(status.instance)
            if row is None or row.node_id != node_id:
                if complete:  # of another node's as well: what is left of an id that lives there now
                    self._tell_unknown(session, node_id, status)
            elif row.deleted_at is not None:
                found.left_over += [row.id] if status.state is not InstanceState.DELETED else []
            else:
                observe(session, row, status, complete=complete)
                found.differing += [row.id] if complete and _differs(row, status.serial) else []
        if complete:
            named = {status.instance for status in statuses}
            found.differing += _lacking(session, await instances.rows_on(node_id), named)
        return found

    def _tell_unknown(self, session: AsyncSession, node_id: str, status: InstanceStatus) -> None:
        """It is kept as it is: a control plane that lost its rows must not cost anybody a server."""
        bucket = self._unknown.setdefault(node_id, Bucket(UNKNOWN_EVENTS_PER_SECOND, UNKNOWN_EVENTS_AT_ONCE))
        if not bucket.try_take():
            message = f"the node keeps it ({status.state}), and it stays as it is"
            event = Event(kind=EventKind.INSTANCE_UNKNOWN, node=node_id, instance=status.instance, message=message)
            record(session, event)

    async def _reconcile(self, instance: str) -> None:
        """The rows tell of the difference as well, so what fails here is repeated by the reconciler."""
        try:
            await self._workflows.reconcile(instance)
        except NotFoundError:
            return
        except GamekeeperError as error:
            self.care.failed(error)
        else:
            self.care.succeeded()


def _differs(row: InstanceRow, serial: int) -> bool:
    """True for an order that is not the newest one, which no action is about to give."""
    return row.operation is None and serial != row.serial


def _lacking(session: AsyncSession, rows: Mapping[str, InstanceRow], named: set[str]) -> list[str]:
    """The instances that the node had and does not have any more: its disk was lost, or restored. It counts from 1
    again, also where an action goes on whose end is about to come."""
    lacking = [row for row in rows.values() if row.id not in named and row.reported_serial]
    for row in lacking:
        row.reported_serial, row.reported_seq = 0, 0
    lacking = [row for row in lacking if row.operation is None]
    for row in lacking:
        message = f"node {row.node_id} does not know it any more; it was {row.state}"
        row.state, row.reason = InstanceState.CREATING.value, None
        row.message, row.since = message, utc_now()
        record(session, Event(kind=EventKind.INSTANCE_CREATING, node=row.node_id, instance=row.id, message=message))
    return [row.id for row in lacking]
