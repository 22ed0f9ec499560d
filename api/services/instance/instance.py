"""Instances: making, reading and changing them. Their workflow decides on every action, and its lock has one holder.

The row is the outbox of the workflow's start: an instance that was answered with 201 starts, whatever dies in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.actor import current_actor
from gamekeeper.control_plane.instance.accept import InstanceAcceptance, InstanceOrigin
from gamekeeper.control_plane.instance.plan import InstanceSubmission
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import InstanceRow, NodeRow
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.reservation import INSTANCE, HeldPort, ReservationRepository
from gamekeeper.db.repositories.target import target_of
from gamekeeper.domain.access.access import Access, Scope
from gamekeeper.domain.access.labels import check_labels
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.instance_filter import InstanceFilter
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.errors import ConflictError, GamekeeperError, UnavailableError
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.instance_workflows import InstanceWorkflows


@dataclass(frozen=True)
class SeenInstance:
    """An instance for somebody to look at. ``node`` has its status alone, and is None when it was removed; ``image`` is
    that of the revision, and ``ports`` are those that it holds on its node."""

    row: InstanceRow
    node: NodeRow | None
    image: str
    ports: Sequence[HeldPort] = ()


class InstanceService:
    def __init__(
        self, database: Database, workflows: InstanceWorkflows, tell_schedules: Callable[[str], Awaitable[None]]
    ) -> None:
        """``tell_schedules`` tells Temporal of those that an instance comes with."""
        self._database = database
        self._workflows = workflows
        self._tell_schedules = tell_schedules
        self._acceptance = InstanceAcceptance(database)
        self.odd_rows = database.odd_rows
        self.care = Supervised("instances")

    async def create(self, submission: InstanceSubmission, access: Access) -> tuple[SeenInstance, bool]:
        """The instance, and whether it is new. Raises as InstanceAcceptance does."""
        origin = InstanceOrigin(by=current_actor(), owner=access.holder, access=access)
        accepted = await self._acceptance.accept(submission, origin)
        if accepted.is_new:
            await self._tell_start(accepted.row.id)
            await self._tell_schedules(accepted.row.id)
        return await self.get(accepted.row.id), accepted.is_new

    async def _tell_start(self, instance_id: str) -> None:
        life = await self._acceptance.find(instance_id)
        if life is None:
            return
        try:
            await self._workflows.start(life)
        except UnavailableError as error:  # the reconciler repeats it
            self.care.failed(error)
        else:
            self.care.succeeded()

    async def get(self, instance_id: str) -> SeenInstance:
        async with self._database.read() as session:
            row = await InstanceRepository(session).get(instance_id)
            return (await _seen(session, [row]))[0]

    async def page(
        self, wanted: InstanceFilter, scope: Scope, *, cursor: str | None, limit: int
    ) -> tuple[list[SeenInstance], str | None]:
        async with self._database.read() as session:
            page: Page[InstanceRow] = await InstanceRepository(session).page(
                wanted, scope=scope, cursor=cursor, limit=limit
            )
            return await _seen(session, page.rows), page.next_cursor

    async def edit(self, instance_id: str, fields: dict[str, Any], access: Access) -> SeenInstance:
        """Changes the row alone; the workflow hears of a new end. Raises NotFoundError, and ForbiddenError for labels
        that ``access`` may not give it."""
        async with self._database.write() as session:
            row = await InstanceRepository(session).get_locked(instance_id)
            if "labels" in fields:
                check_labels(access, target_of(row), fields["labels"])
            changes = {name: value for name, value in fields.items() if getattr(row, name) != value}
            told = {name: [_told(getattr(row, name)), _told(value)] for name, value in changes.items()}
            for name, value in changes.items():
                setattr(row, name, storable(value) if isinstance(value, str) else value)
            if changes:
                row.version, row.updated_at = row.version + 1, utc_now()
                event = Event(kind=EventKind.INSTANCE_EDITED, node=row.node_id, instance=row.id, data=told)
                record(session, event.model_copy(update={"message": ", ".join(sorted(changes))}))
        if "expires_at" in changes:
            await self._tell_expiry(instance_id, fields["expires_at"])
        return await self.get(instance_id)

    async def _tell_expiry(self, instance_id: str, moment: datetime | None) -> None:
        try:
            await self._workflows.expire_at(instance_id, moment)
        except GamekeeperError as error:  # the reconciler looks for those whose time is over
            self.care.failed(error)

    async def count_by_state(self) -> dict[str, int]:
        async with self._database.read() as session:
            return await InstanceRepository(session).count_by_state()


def _told(value: Any) -> Any:
    """A value of a row as an event keeps it."""
    return value.isoformat() if isinstance(value, datetime) else value


async def _seen(session: AsyncSession, rows: Sequence[InstanceRow]) -> list[SeenInstance]:
    if not rows:
        return []
    nodes = {row.id: row for row in await NodeRepository(session).statuses_of(sorted({row.node_id for row in rows}))}
    images = await InstanceRepository(session).images(rows[0].id, rows[-1].id)
    ports = await ReservationRepository(session).held_ports(INSTANCE, [row.id for row in rows])
    return [SeenInstance(row, nodes.get(row.node_id), images.get(row.id, ""), ports.get(row.id, ())) for row in rows]


def running_key(row: InstanceRow) -> InstanceKey:
    """The revision whose container may run. Raises ConflictError where there is none."""
    if not row.container_id or not (InstanceState(row.state).is_up or row.state == InstanceState.FAILED):
        hint = f"gamekeeper instance start {row.id}"
        raise ConflictError(f'instance "{row.id}" has no running container: it is {row.state}', hint=hint)
    return InstanceKey(instance=row.id, revision=row.running_revision or row.revision)
