"""Runs: accepting, starting, cancelling and reading them.

An accepted run is in the database before Temporal hears of it, and the row is the outbox of its own start: a run that
was answered with 201 starts, whatever dies in between (see ``reconcile.py``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from api.services.event import EventBatch, EventService
from api.services.run.dispatch import RunDispatcher
from api.services.run.waiting import Waits
from gamekeeper.actor import current_actor
from gamekeeper.control_plane.access.approvers import anybody_may_answer
from gamekeeper.control_plane.intake.accept import Accepted, RunAcceptance
from gamekeeper.control_plane.intake.may_run import check_node, check_stored
from gamekeeper.control_plane.intake.plan import RunPlanner
from gamekeeper.control_plane.intake.submission import Origin, Submission
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import RunRow, StepRow
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.db.repositories.run_group import RunGroup, RunGroupRepository
from gamekeeper.domain.access.access import Access, Scope
from gamekeeper.domain.access.approval import names_role
from gamekeeper.domain.access.bounds import sight_bounds
from gamekeeper.domain.access.sight import ALL_SEEING
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.run.run import FINAL_RUN_STATES, RunState
from gamekeeper.domain.run.run_filter import RunFilter
from gamekeeper.domain.run.step import StepStatus
from gamekeeper.errors import ConflictError, InvalidError, UnavailableError
from gamekeeper.supervised import Supervised


@dataclass(frozen=True)
class Rerun:
    """The run that a new one repeats, and the steps that it takes over."""

    of: str
    choose: Callable[[ResolvedPipeline], list[StepStatus]]


class RunService:
    def __init__(
        self,
        database: Database,
        dispatcher: RunDispatcher,
        events: EventService,
        node_wait_seconds: float,
    ) -> None:
        self._database = database
        self.odd_rows = database.odd_rows
        self.planner = RunPlanner(database)
        self._acceptance = RunAcceptance(database, self.planner)
        self._dispatcher = dispatcher
        self._events = events
        self._node_wait = node_wait_seconds
        self.care = Supervised("dispatch")

    async def plan(self, submission: Submission, access: Access) -> ResolvedPipeline:
        """The plan of a run, with what ``access`` sees. Raises SpecError with every problem."""
        bounds = sight_bounds(access)
        async with self._database.read() as session:
            await check_stored(session, access, submission, Verb.SEE)
        submission = await self.planner.with_node(submission, bounds.nodes)
        by = current_actor()
        plan = await self.planner.plan(submission, self._node_wait, caller=by, bounds=bounds, sight=bounds)
        return plan.pipeline

    async def submit(self, submission: Submission, access: Access, rerun: Rerun | None = None) -> Accepted:
        """Accepts the run and starts it; the same idempotency key gives the same run. Raises as RunAcceptance does, and
        NotFoundError or ForbiddenError for a stored pipeline or a node that ``access`` does not reach."""
        if rerun is None:
            async with self._database.read() as session:
                await check_stored(session, access, submission, Verb.RUN)
                await check_node(session, access, submission.node)
        accepted = await self._acceptance.accept(
            await self.planner.with_node(submission, access.scope(Verb.RUN, ObjectKind.NODE)),
            Origin(rerun_of=rerun.of if rerun else None, caller=current_actor(), owner=access.holder),
            node_wait=self._node_wait,
            carry=rerun.choose if rerun else None,
            access=access,
        )
        run_id = accepted.run.run_id
        if accepted.is_new:
            await self._tell(self._dispatcher.start(accepted.run))
            for old in accepted.superseded:
                await self._tell(
                    self._dispatcher.cancel(old, f"superseded by run {run_id}", superseded_by=run_id),
                )
        return accepted

    async def _tell(self, call: Awaitable[None]) -> None:
        """Tells Temporal what is in the database already. The reconciler repeats what it does not take now, and ends a
        run that it refuses."""
        try:
            await call
        except UnavailableError as error:
            self.care.failed(error)
        except InvalidError:
            return
        else:
            self.care.succeeded()

    async def get(self, run_id: str) -> tuple[RunRow, list[StepRow]]:
        """The run to look at, with the steps that can be read."""
        async with self._database.read() as session:
            runs = RunRepository(session)
            return await runs.get(run_id), await runs.readable_steps(run_id)

    async def get_whole(self, run_id: str) -> tuple[RunRow, list[StepRow]]:
        """The run with its source and the resolved pipeline."""
        async with self._database.read() as session:
            runs = RunRepository(session)
            row = await runs.find_whole(run_id)
            return row or await runs.get(run_id), await runs.steps(run_id)

    async def get_step(self, run_id: str, name: str) -> StepRow:
        return (await self.get_with_step(run_id, name))[1]

    async def get_with_step(self, run_id: str, name: str) -> tuple[RunRow, StepRow]:
        """The run, and one of its steps."""
        async with self._database.read() as session:
            runs = RunRepository(session)
            return await runs.get(run_id), await runs.get_step(run_id, name)

    async def page(self, wanted: RunFilter, scope: Scope, *, cursor: str | None, limit: int) -> Page[RunRow]:
        async with self._database.read() as session:
            return await RunRepository(session).page(wanted, scope=scope, cursor=cursor, limit=limit)

    async def waits(self, runs: Sequence[RunRow]) -> Waits:
        """The waits of the runs and their steps."""
        open_runs = [run.id for run in runs if run.state not in FINAL_RUN_STATES]
        if not open_runs:
            return Waits()
        async with self._database.read() as session:
            repository = RunRepository(session)
            steps = await repository.waiting_steps(open_runs)
            ids = sorted({step.node_id for step in steps})
            nodes = {node.id: node for node in await NodeRepository(session).find_many(ids)} if ids else {}
            return Waits(steps, nodes, await repository.count_begun(ids) if ids else {})

    async def waits_of(self, run: RunRow) -> Waits:
        """The same of one run, with the approvals that nobody can answer any more."""
        waits = await self.waits([run])
        target = Target(ObjectKind.PIPELINE, run.pipeline, run.labels)
        async with self._database.read() as session:
            lost = [
                step.name
                for step in waits.steps
                if step.approvers
                and not names_role(step.approvers)
                and not await anybody_may_answer(session, step.approvers.values(), target)
            ]
        return replace(waits, lost=frozenset(lost))

    async def groups(self, scope: Scope, cursor: str | None, limit: int) -> Page[RunGroup]:
        async with self._database.read() as session:
            return await RunGroupRepository(session).page(scope, cursor, limit)

    async def group(self, name: str, scope: Scope) -> RunGroup:
        async with self._database.read() as session:
            return await RunGroupRepository(session).get(name, scope)

    async def cancel(self, run_id: str, reason: str) -> RunRow:
        """Requests the cancel; the request is kept, so it reaches the workflow even when Temporal is away now."""
        async with self._database.write() as session:
            row = await RunRepository(session).get(run_id)
            if RunState(row.state).is_final:
                raise ConflictError(f"run {run_id} has ended already: {row.state}")
            if row.cancel_reason is None:
                row.cancel_reason = reason
                record(session, Event(kind=EventKind.RUN_CANCEL_REQUESTED, run=run_id, message=reason))
        await self._tell(self._dispatcher.cancel(run_id, reason))
        return row

    def events(self, run_id: str, after_seq: int) -> AsyncIterator[EventBatch]:
        """Changes of state after ``after_seq``, then new ones as they come, until the run has ended."""

        async def has_ended() -> bool:
            async with self._database.read() as session:
                return RunState((await RunRepository(session).get(run_id)).state).is_final

        return self._events.follow(after_seq, EventFilter(kinds=("run", "step"), run=run_id), ALL_SEEING, has_ended)

    async def count_by_state(self) -> dict[str, int]:
        async with self._database.read() as session:
            return await RunRepository(session).count_by_state()
