"""Firings of instances' schedules: decided by the rows, and done by the workflow of the instance."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.instance.accept import InstanceAcceptance
from gamekeeper.control_plane.instance.schedule import note
from gamekeeper.control_plane.server_room import server_trouble
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRow, InstanceScheduleRow, NodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.instance_schedule import InstanceScheduleRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.instance.control import REFUSED, PowerAction, PowerRequest
from gamekeeper.domain.instance.missed import with_firing
from gamekeeper.domain.instance.schedule import (
    BY,
    Circumstances,
    ConsoleLine,
    Fired,
    Firing,
    FiringEnd,
    FiringOutcome,
    ScheduledAction,
    spec_of,
    why_not,
)
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.node.node import NodeStatus
from gamekeeper.errors import ConflictError, NotFoundError
from gamekeeper.temporal.instance_workflows import InstanceWorkflows

PATIENCE = timedelta(minutes=1)  # a start of the control worker is no reason to leave a time out


class SqlInstanceSchedules:
    """InstanceSchedules on the database and the workflows of instances."""

    def __init__(self, database: Database, workflows: InstanceWorkflows) -> None:
        self._database = database
        self._workflows = workflows
        self._acceptance = InstanceAcceptance(database)

    async def begin(self, firing: Firing) -> Fired:
        async with self._database.write() as session:
            found = await _find(session, firing)
            if found is None:
                return Fired()
            row, schedule = found
            if schedule.firing != firing.token:
                await self._decide(session, row, schedule, firing)
            elif schedule.last_outcome == FiringOutcome.BEGUN and not _goes_on(row, firing):
                _note_late(session, row, schedule, firing)
            if schedule.last_outcome != FiringOutcome.BEGUN:
                return Fired(outcome=FiringOutcome(schedule.last_outcome))
            if schedule.action == ScheduledAction.COMMAND:
                node = await NodeRepository(session).find(row.node_id)
                return Fired(line=_line(schedule, row, firing), agent=node.agent_version if node else "")
            action = PowerAction(schedule.action)
        return Fired(outcome=await self._power(firing, action))

    async def _decide(
        self, session: AsyncSession, row: InstanceRow, schedule: InstanceScheduleRow, firing: Firing
    ) -> None:
        """The decision is written before anything is asked for: a repeated call finds it, and asks for the same."""
        schedule.firing, schedule.last_at = firing.token, firing.at
        if not firing.by_hand:
            schedule.came = with_firing(schedule.came, firing.at)
        node = await NodeRepository(session).find(row.node_id)
        reason = why_not(ScheduledAction(schedule.action), _circumstances(row, node))
        if schedule.paused and not firing.by_hand:
            note(session, row, schedule, FiringOutcome.SKIPPED, "it is paused")
        elif _note_late(session, row, schedule, firing):
            return
        elif reason := reason or await _no_room(session, schedule):
            note(session, row, schedule, FiringOutcome.SKIPPED, reason)
        else:
            note(session, row, schedule, FiringOutcome.BEGUN)

    async def _power(self, firing: Firing, action: PowerAction) -> FiringOutcome:
        """Asks the instance's workflow, by a key that makes a repeated question the same one. The end of the action is
        written when it comes."""
        request = PowerRequest(action=action, by=f"{BY}{firing.name}")
        try:
            try:
                await self._workflows.power(firing.instance, request, firing.token)
            except NotFoundError:
                life = await self._acceptance.find(firing.instance)
                if life is None:
                    return FiringOutcome.SKIPPED
                await self._workflows.start(life)
                await self._workflows.power(firing.instance, request, firing.token)
        except ConflictError as error:
            outcome = FiringOutcome.FAILED if error.code == REFUSED else FiringOutcome.BUSY
            await self._note(firing, outcome, error.message)
            return outcome
        return FiringOutcome.BEGUN

    async def end(self, ended: FiringEnd) -> None:
        await self._note(ended, ended.outcome, ended.message)

    async def _note(self, firing: Firing | FiringEnd, outcome: FiringOutcome, message: str) -> None:
        async with self._database.write() as session:
            found = await _find(session, firing)
            if found is None:
                return
            row, schedule = found
            if schedule.firing == firing.token and schedule.last_outcome == FiringOutcome.BEGUN:
                note(session, row, schedule, outcome, message)


async def _no_room(session: AsyncSession, schedule: InstanceScheduleRow) -> str:
    """The reason that nothing begins by itself while a disk of the server is nearly full. A stop makes room."""
    if schedule.action == ScheduledAction.STOP:
        return ""
    trouble = await server_trouble(session)
    return f"no new work is taken: {trouble}" if trouble else ""


async def _find(session: AsyncSession, firing: Firing | FiringEnd) -> tuple[InstanceRow, InstanceScheduleRow] | None:
    """The instance and its schedule, which nobody else changes meanwhile; None for what was removed."""
    try:
        row = await InstanceRepository(session).get_locked(firing.instance)
    except NotFoundError:
        return None
    schedule = await InstanceScheduleRepository(session).find(firing.instance, firing.name)
    return None if schedule is None else (row, schedule)


def _note_late(session: AsyncSession, row: InstanceRow, schedule: InstanceScheduleRow, firing: Firing) -> bool:
    """True for a firing that is missed, because nobody could look at it, or ask for its action, in time."""
    spec = spec_of(schedule.cron, schedule.timezone, schedule.catch_up)
    late = utc_now() - firing.at
    if late <= timedelta(seconds=spec.catch_up) + PATIENCE:
        return False
    message = f"the time of {firing.at:%Y-%m-%d %H:%M} UTC came to its turn {late.total_seconds() / 60:.0f} min late"
    note(session, row, schedule, FiringOutcome.MISSED, message)
    return True


def _goes_on(row: InstanceRow, firing: Firing) -> bool:
    return (row.operation or {}).get("by") == f"{BY}{firing.name}"


def _circumstances(row: InstanceRow, node: NodeRow | None) -> Circumstances:
    trouble = ""
    if node is None:
        trouble = f"node {row.node_id} was removed"
    elif not NodeStatus(node.status).reachable:
        trouble = f"node {node.id} is {node.status}"
    return Circumstances(
        desired=Desired(row.desired),
        state=InstanceState(row.state),
        held=InstanceReason(row.held) if row.held else None,
        node_trouble=trouble,
        is_expired=row.expires_at is not None and row.expires_at <= utc_now(),
    )


def _line(schedule: InstanceScheduleRow, row: InstanceRow, firing: Firing) -> ConsoleLine:
    return ConsoleLine(
        instance=row.id,
        node=row.node_id,
        schedule=schedule.name,
        number=firing.number,
        text=schedule.command,
    )
