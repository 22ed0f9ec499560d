"""Requests of users to a run that goes on: answers, a pause, the end of one step. Each updates the run's workflow.

The workflow decides and its validators refuse, so two answers at once have one winner. What was accepted is an event.
"""

from __future__ import annotations

from api.services.run.dispatch import RunDispatcher
from api.services.run.run import RunService
from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.approval import check_may_answer
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.run.control import ApprovalAnswer, HoldAction, HoldAnswer, PauseRequest, StepCancel
from gamekeeper.domain.run.run import RunState
from gamekeeper.errors import ConflictError


class RunControlService:
    """Every method raises NotFoundError, ConflictError with the workflow's own words, UnavailableError."""

    def __init__(self, database: Database, dispatcher: RunDispatcher, runs: RunService) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._runs = runs

    async def answer_approval(self, run_id: str, step: str, *, approved: bool, comment: str, access: Access) -> None:
        """Raises ForbiddenError too, for somebody whom the approval's ``allow`` does not name."""
        await self._check(run_id, step)
        await self._check_approver(run_id, step, access)
        answer = ApprovalAnswer(step=step, approved=approved, by=current_actor(), comment=comment)
        await self._dispatcher.answer_approval(run_id, answer)
        await self._tell(EventKind.STEP_APPROVED if approved else EventKind.STEP_REJECTED, run_id, step, comment)

    async def answer_hold(self, run_id: str, step: str, action: HoldAction) -> None:
        await self._check(run_id, step)
        await self._dispatcher.answer_hold(run_id, HoldAnswer(step=step, action=action, by=current_actor()))
        await self._tell(EventKind.STEP_HOLD_ANSWERED, run_id, step, action.value)

    async def set_paused(self, run_id: str, paused: bool) -> None:
        await self._check(run_id)
        await self._dispatcher.set_paused(run_id, PauseRequest(paused=paused, by=current_actor()))
        await self._tell(EventKind.RUN_PAUSE_REQUESTED if paused else EventKind.RUN_RESUME_REQUESTED, run_id)

    async def cancel_step(self, run_id: str, step: str, reason: str) -> None:
        await self._check(run_id, step)
        await self._dispatcher.cancel_step(run_id, StepCancel(step=step, by=current_actor(), reason=reason))
        await self._tell(EventKind.STEP_CANCEL_REQUESTED, run_id, step, reason)

    async def _check(self, run_id: str, step: str = "") -> None:
        row, _ = await self._runs.get(run_id)
        if RunState(row.state).is_final:
            raise ConflictError(f"run {run_id} has ended already: {row.state}")
        if step:
            await self._runs.get_step(run_id, step)

    async def _check_approver(self, run_id: str, step: str, access: Access) -> None:
        run, row = await self._runs.get_with_step(run_id, step)
        check_may_answer(step, row.approvers, access, Target(ObjectKind.PIPELINE, run.pipeline, run.labels))

    async def _tell(self, kind: EventKind, run_id: str, step: str = "", message: str = "") -> None:
        async with self._database.write() as session:
            record(session, Event(kind=kind, run=run_id, step=step, message=message))
