"""Brings runs and workflows together again after anything died between the database and Temporal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from temporalio.client import WorkflowExecutionStatus

from api.services.run.dispatch import RunDispatcher
from gamekeeper.control_plane.intake.accept import stored_input
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.run import OpenRun, RunRepository
from gamekeeper.db.repositories.step_room import StepRoomRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.run.limits import shortened
from gamekeeper.domain.run.run import RunSnapshot, RunState
from gamekeeper.domain.run.step import Reason, StepState, StepStatus
from gamekeeper.errors import InvalidError
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.ids import run_workflow_id

SETTLE = timedelta(seconds=5)
LOST_AFTER = timedelta(seconds=60)
ROW_SECONDS = 30.0
STUCK_AFTER_FAILURES = 3


class RunReconciler:
    """Starts what was accepted and never started, repeats cancels, and closes runs whose workflow is gone."""

    def __init__(self, database: Database, dispatcher: RunDispatcher) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self.care = Supervised("reconciler")

    async def reconcile(self) -> None:
        """Looks at every run that has not ended; one that can't be dealt with holds up no other."""
        now = utc_now()
        async with self._database.read() as session:
            found = [row async for row in _all_open(RunRepository(session), now - SETTLE, now - LOST_AFTER)]
        for row in found:
            with self.care.row(f"run {row.id}"):
                async with asyncio.timeout(ROW_SECONDS):
                    await self._look_after(row)
        await self._release_rooms()

    async def _release_rooms(self) -> None:
        """Gives back what a run left behind whose last question for room came after its end."""
        async with self._database.read() as session:
            left = await StepRoomRepository(session).ended_holders()
        for run_id in left:
            async with self._database.write() as session:
                await StepRoomRepository(session).release_run(run_id)

    async def _look_after(self, row: OpenRun) -> None:
        if not row.started_workflow:
            await self._start(row)
            return
        if row.cancel_reason is not None:
            await self._dispatcher.repeat_cancel(row.id, row.cancel_reason, row.superseded_by)
        await self._look_at_workflow(row)

    async def _start(self, row: OpenRun) -> None:
        async with self._database.read() as session:
            whole = await RunRepository(session).find_whole(row.id)
            run = await stored_input(session, whole) if whole else None
        if run is None:
            return
        try:
            await self._dispatcher.start(run)
        except InvalidError as error:
            await self._end(row, RunState.FAILED, Reason.INTERNAL, str(error), "the run could not be started")
            return
        if row.cancel_reason is not None:
            await self._dispatcher.cancel(row.id, row.cancel_reason, row.superseded_by)
        async with self._database.write() as session:
            (await RunRepository(session).get(row.id)).started_workflow = True

    async def _will_be_started(self, row: OpenRun) -> bool:
        """True when a workflow will start the run; that one may have been away since it asked for the run."""
        if row.started_by is None:
            return False
        found = await self._dispatcher.find(row.started_by)
        return found is not None and found.status is WorkflowExecutionStatus.RUNNING

    async def _look_at_workflow(self, row: OpenRun) -> None:
        """Tells of a workflow that is stuck, and closes a run whose workflow is gone and had the time to say so."""
        found = await self._dispatcher.find(run_workflow_id(row.id))
        status = found.status if found else None
        if found is not None and status is WorkflowExecutionStatus.RUNNING:
            if found.failed_tasks >= STUCK_AFTER_FAILURES:
                await self._tell_stuck(row, found.failed_tasks)
            return
        if not row.is_old or (found is None and await self._will_be_started(row)):
            return
        text = "does not exist" if status is None else f"ended as {status.name.lower()}"
        canceled = status is WorkflowExecutionStatus.CANCELED
        await self._end(
            row,
            RunState.CANCELED if canceled else RunState.FAILED,
            Reason.USER if canceled else Reason.INTERNAL,
            f"its Temporal workflow {text} without telling how the run ended",
            "the run's Temporal workflow is gone",
        )

    async def _end(self, row: OpenRun, state: RunState, reason: Reason, message: str, of_steps: str) -> None:
        """Ends a run that no workflow leads, unless one has written since it was looked at."""
        async with self._database.write() as session:
            runs = RunRepository(session)
            current = await runs.get(row.id)
            if RunState(current.state).is_final or current.version != row.version:
                return
            await runs.apply(
                RunSnapshot(
                    run_id=row.id,
                    version=current.version + 1,
                    state=state,
                    reason=reason,
                    message=shortened(message),
                    started_at=current.started_at,
                    finished_at=utc_now(),
                    steps=[
                        _lost(step, of_steps) for step in await runs.steps(row.id) if not StepState(step.state).is_final
                    ],
                )
            )

    async def _tell_stuck(self, row: OpenRun, failures: int) -> None:
        """Says on the run that its workflow fails and is tried again; the workflow's next write takes its place."""
        message = f"the control worker fails at this run ({failures} times so far) and tries again; see its log"
        async with self._database.write() as session:
            current = await RunRepository(session).get(row.id)
            if RunState(current.state).is_final or current.version != row.version:
                return
            if not current.message.startswith(message.partition(" (")[0]):
                record(session, Event(kind=EventKind.RUN_STUCK, run=row.id, message=message))
            current.message = message


async def _all_open(runs: RunRepository, created_before: datetime, old_before: datetime) -> AsyncIterator[OpenRun]:
    after_id = ""
    while rows := await runs.open_runs(created_before, old_before, after_id):
        for row in rows:
            yield row
        after_id = rows[-1].id


def _lost(step: StepRow, message: str) -> StepStatus:
    return StepStatus(
        name=step.name,
        position=step.position,
        type=step.type,
        node=step.node_id,
        try_=step.try_number,
        state=StepState.ERROR,
        reason=Reason.INTERNAL,
        message=message,
    )
