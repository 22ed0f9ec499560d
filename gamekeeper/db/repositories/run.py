"""SQL of runs, their steps and events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_
from sqlalchemy import select as sql_select
from sqlalchemy.orm import defer
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from gamekeeper.db.event_log import record
from gamekeeper.db.labels import has_label
from gamekeeper.db.models import RunRow, StepRow
from gamekeeper.db.models.columns import storable
from gamekeeper.db.readable import column, one_readable, readable
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.db.repositories.step_room import StepRoomRepository
from gamekeeper.db.scope import RUNS, narrowed
from gamekeeper.domain.access.access import Scope
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.event.event import Event, NodeTime
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.step import StepType
from gamekeeper.domain.run.run import RunSnapshot, RunState
from gamekeeper.domain.run.run_filter import RunFilter
from gamekeeper.domain.run.step import FINAL_STATES, StepState, StepStatus
from gamekeeper.errors import NotFoundError

# Every change of a step reads its run; these columns hold the whole pipeline, three times over.
WITHOUT_TEXT = [defer(getattr(RunRow, name), raiseload=True) for name in ("source", "call", "resolved", "carried")]
WAITING = [StepState.WAITING_NODE.value, StepState.HELD.value]
BEGUN = [StepState.STARTING.value, StepState.RUNNING.value]
RUNS_AT_ONCE = 200  # in one question; a node may name as many as it makes up
OPEN_STATES = [state.value for state in RunState if not state.is_final]


@dataclass(frozen=True)
class OpenRun:
    """A run that has not ended, as the reconciler looks at it."""

    id: str
    version: int
    started_workflow: bool
    started_by: str | None
    cancel_reason: str | None
    superseded_by: str | None
    is_old: bool


class RunRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, run_id: str) -> RunRow:
        row = await self.find(run_id)
        if row is None:
            raise NotFoundError(f'there is no run "{run_id}"', hint="gamekeeper runs ls lists them")
        return row

    async def find(self, run_id: str) -> RunRow | None:
        return await one_readable(self._session.get(RunRow, run_id, options=WITHOUT_TEXT), f"run {run_id}")

    async def find_whole(self, run_id: str) -> RunRow | None:
        """The run with its source and the resolved pipeline: a megabyte at most."""
        return await one_readable(self._session.get(RunRow, run_id), f"run {run_id}")

    async def find_many(self, run_ids: Sequence[str]) -> dict[str, RunRow]:
        query = select(RunRow).where(col(RunRow.id).in_(run_ids)).options(*WITHOUT_TEXT)
        rows = (await self._session.exec(query)).all()
        return {row.id: row for row in rows}

    async def with_step_on(self, node_id: str, run_ids: Iterable[str]) -> set[str]:
        """Those of the runs that have a step on the node."""
        query = select(StepRow.run_id).where(StepRow.node_id == node_id, col(StepRow.run_id).in_(sorted(run_ids)))
        return set((await self._session.exec(query.distinct())).all())

    async def nodes_of_steps(self, run_ids: Collection[str]) -> dict[tuple[str, str], str]:
        """The node of each step of the runs."""
        query = select(StepRow.run_id, StepRow.name, StepRow.node_id).where(col(StepRow.run_id).in_(sorted(run_ids)))
        return {(run_id, name): node for run_id, name, node in (await self._session.exec(query)).all()}

    async def by_idempotency_key(self, key: str) -> RunRow | None:
        """Whole, as ``find_whole`` gives it."""
        return (await self._session.exec(select(RunRow).where(RunRow.idempotency_key == key))).first()

    async def add(self, run: RunRow, steps: Sequence[StepRow]) -> None:
        self._session.add(run)
        await self._session.flush()
        self._session.add_all(steps)
        record(
            self._session, Event(kind=EventKind.of("run", run.state), run=run.id, message=f"pipeline {run.pipeline}")
        )

    async def page(self, wanted: RunFilter, *, scope: Scope, cursor: str | None, limit: int) -> Page[RunRow]:
        query = narrowed(select(RunRow), scope, RUNS).order_by(col(RunRow.id).desc()).options(*WITHOUT_TEXT)
        query = query.where(*_exactly(wanted))
        if wanted.id_prefix:
            query = query.where(col(RunRow.id).startswith(wanted.id_prefix, autoescape=True))
        if wanted.label:
            query = query.where(has_label(col(RunRow.labels), *wanted.label))
        if wanted.is_waiting:
            query = query.where(_is_waiting())
        if wanted.node:
            query = query.where(col(RunRow.id).in_(select(StepRow.run_id).where(StepRow.node_id == wanted.node)))
        if cursor:
            query = query.where(col(RunRow.id) < decode_cursor(cursor))
        return await read_page(self._session, query, column(RunRow.id), limit)

    async def waiting_steps(self, run_ids: Sequence[str]) -> list[StepRow]:
        """Steps of the runs that may wait for something outside their run, in their order."""
        query = select(StepRow).where(col(StepRow.run_id).in_(run_ids), _may_wait())
        return list((await self._session.exec(query.order_by(StepRow.run_id, col(StepRow.position)))).all())

    async def count_begun(self, node_ids: Sequence[str]) -> dict[str, int]:
        """The number of steps that the agent of each node has in hand."""
        begun = (col(StepRow.node_id).in_(node_ids), col(StepRow.state).in_(BEGUN), col(StepRow.phase).is_not(None))
        rows = await self._session.exec(
            select(StepRow.node_id, func.count()).where(*begun).group_by(col(StepRow.node_id))
        )
        return dict(rows.all())

    async def steps(self, run_id: str) -> list[StepRow]:
        return list((await self._session.exec(_steps_of(run_id))).all())

    async def readable_steps(self, run_id: str) -> list[StepRow]:
        """The steps for somebody to look at, without those that can't be read."""
        return (await readable(self._session, _steps_of(run_id), column(StepRow.name)))[0]

    async def get_step(self, run_id: str, name: str) -> StepRow:
        row = await one_readable(self._session.get(StepRow, (run_id, name)), f"step {name} of run {run_id}")
        if row is None:
            raise NotFoundError(f'run "{run_id}" has no step "{name}"', hint=f"gamekeeper runs show {run_id}")
        return row

    async def find_steps(self, keys: Sequence[StepKey]) -> dict[tuple[str, str], StepRow]:
        found: dict[tuple[str, str], StepRow] = {}
        for run_id in {key.run_id for key in keys}:
            names = [key.step for key in keys if key.run_id == run_id]
            found |= {(run_id, row.name): row for row in await self._named_steps(run_id, names)}
        return found

    async def nodes_of_named(self, keys: Sequence[StepKey]) -> dict[tuple[str, str], str]:
        """The nodes of the steps that there are, by run and name."""
        names: dict[str, set[str]] = {}
        for key in keys:
            names.setdefault(key.run_id, set()).add(key.step)
        found: dict[tuple[str, str], str] = {}
        runs = sorted(names)
        for first in range(0, len(runs), RUNS_AT_ONCE):
            wanted = [
                and_(col(StepRow.run_id) == run_id, col(StepRow.name).in_(sorted(names[run_id])))
                for run_id in runs[first : first + RUNS_AT_ONCE]
            ]
            query = select(StepRow.run_id, StepRow.name, StepRow.node_id).where(or_(*wanted))
            found |= {(run_id, name): node for run_id, name, node in (await self._session.exec(query)).all()}
        return found

    async def _named_steps(self, run_id: str, names: Sequence[str]) -> list[StepRow]:
        """A run may have thousands, of which few change at a time."""
        query = select(StepRow).where(StepRow.run_id == run_id, col(StepRow.name).in_(names))
        return list((await self._session.exec(query)).all())

    async def open_runs(self, created_before: datetime, old_before: datetime, after_id: str = "") -> list[OpenRun]:
        """A batch of runs that have not ended, by id. No column is read that an odd row could make unreadable."""
        columns = (
            *(col(RunRow.id), col(RunRow.version), col(RunRow.started_workflow), col(RunRow.started_by)),
            *(col(RunRow.cancel_reason), col(RunRow.superseded_by), col(RunRow.created_at) < old_before),
        )
        query = sql_select(*columns).where(
            col(RunRow.state).in_(OPEN_STATES), col(RunRow.created_at) < created_before, col(RunRow.id) > after_id
        )
        rows = await (await self._session.connection()).execute(query.order_by(RunRow.id).limit(200))
        return [OpenRun(*row) for row in rows]

    async def count_open_by_schedule(self) -> dict[str, int]:
        query = select(RunRow.schedule, func.count()).where(col(RunRow.schedule).is_not(None))
        rows = await self._session.exec(query.where(col(RunRow.state).in_(OPEN_STATES)).group_by(col(RunRow.schedule)))
        return {schedule: count for schedule, count in rows.all() if schedule is not None}

    async def count_by_state(self) -> dict[str, int]:
        rows = await self._session.exec(select(RunRow.state, func.count()).group_by(RunRow.state))
        return dict(rows.all())

    async def apply(self, snapshot: RunSnapshot) -> bool:
        """Writes a snapshot that is newer than the stored one; False for an old or a repeated one."""
        run = await self._lock(snapshot.run_id)
        if run is None or snapshot.version <= run.version:
            return False
        names = [status.name for status in snapshot.steps]
        rows = {row.name: row for row in await self._named_steps(snapshot.run_id, names)}
        rows |= self._add_cells(snapshot, rows)
        changed = [(rows[status.name], status) for status in snapshot.steps if status.name in rows]
        if not snapshot.state.is_final:
            self._run_event(run, snapshot)
        for row, status in changed:
            self._write_step(row, status)
        if snapshot.state.is_final:  # followers stop at a run's end, so it comes last
            self._run_event(run, snapshot)
        run.version = snapshot.version
        run.state = snapshot.state.value
        run.reason = snapshot.reason.value if snapshot.reason else None
        run.message = storable(snapshot.message)
        run.started_at = snapshot.started_at
        run.finished_at = snapshot.finished_at
        run.started_workflow = True
        await self._keep_rooms(snapshot)
        return True

    async def _keep_rooms(self, snapshot: RunSnapshot) -> None:
        """In the same transaction as the states of the tries whose room it is."""
        rooms = StepRoomRepository(self._session)
        if snapshot.state.is_final:
            await rooms.release_run(snapshot.run_id)
            return
        await rooms.note(snapshot.noted)
        await rooms.release(snapshot.released)

    def _add_cells(self, snapshot: RunSnapshot, known: Mapping[str, StepRow]) -> dict[str, StepRow]:
        """Adds the cells of a matrix: their number is known only when its step begins."""
        cells = {
            status.name: StepRow(
                run_id=snapshot.run_id,
                name=status.name,
                position=status.position,
                type=status.type,
                node_id=status.node,
                needs=status.needs,
                is_finally=status.finally_,
                cell_of=status.cell_of,
                cell=status.cell,
                matrix=status.matrix,
                approvers={},
            )
            for status in snapshot.steps
            if status.cell_of and status.name not in known
        }
        self._session.add_all(cells.values())
        return cells

    def _run_event(self, run: RunRow, snapshot: RunSnapshot) -> None:
        if run.state != snapshot.state.value:
            kind, reason = EventKind.of("run", snapshot.state.value), snapshot.reason or ""
            record(self._session, Event(kind=kind, run=run.id, reason=reason, message=snapshot.message))

    async def _lock(self, run_id: str) -> RunRow | None:
        """Writers of one run take turns: an older snapshot must not overtake a newer one."""
        return await self._session.get(RunRow, run_id, with_for_update=True, options=WITHOUT_TEXT)

    def _write_step(self, row: StepRow, status: StepStatus) -> None:
        if row.state != status.state.value or row.try_number != status.try_:
            self._step_event(row, status.state, status.try_, status.reason or "", status.message)
        row.state = status.state.value
        row.reason = status.reason.value if status.reason else None
        row.try_number = status.try_
        for name in (
            *("message", "exit_code", "container_id", "digest", "started_at", "finished_at"),
            *("deadline_at", "ports", "named_ports", "outputs", "carried_from"),
        ):
            setattr(row, name, getattr(status, name))
        row.message = storable(status.message)

    async def observe(self, key: StepKey, phase: StepState, message: str, container_id: str, told: NodeTime) -> None:
        """The node's word on how far a step is; the workflow's own state is untouched."""
        await self._lock(key.run_id)
        row = await self._session.get(StepRow, (key.run_id, key.step))
        if row is None or StepState(row.state).is_final or key.try_ < row.phase_try:
            return
        is_news = row.phase != phase.value or row.phase_try != key.try_
        if is_news and (phase.value, key.try_) != (row.state, row.try_number):
            self._step_event(row, phase, key.try_, "", message, told)
        row.phase = phase.value
        row.phase_try = key.try_
        row.phase_message = storable(message[:500])
        row.phase_container_id = container_id or row.phase_container_id

    async def tell_trouble(self, row: StepRow, trouble: str, *, outlives_run: bool) -> None:
        """Notes what became of a service since it came up. One that ends with its run is taken along by the last step,
        and that end is no trouble."""
        run = await self._lock(row.run_id)
        if outlives_run or (run and not RunState(run.state).is_final and await self._has_open_steps(row.run_id)):
            row.trouble = storable(trouble)

    async def _has_open_steps(self, run_id: str) -> bool:
        final = [state.value for state in FINAL_STATES]
        query = select(StepRow.name).where(StepRow.run_id == run_id, col(StepRow.state).not_in(final)).limit(1)
        return (await self._session.exec(query)).first() is not None

    def _step_event(
        self, row: StepRow, state: StepState, number: int, reason: str, message: str, told: NodeTime | None = None
    ) -> None:
        times = told.model_dump() if told else {}
        event = Event(
            kind=EventKind.of("step", state.value),
            node=row.node_id,
            run=row.run_id,
            step=row.name,
            reason=reason,
            message=message,
            data={"try": number},
            **times,
        )
        record(self._session, event)


def _may_wait() -> ColumnElement[bool]:
    asks = and_(col(StepRow.type) == StepType.APPROVAL.value, col(StepRow.state) == StepState.RUNNING.value)
    return or_(col(StepRow.state).in_([*WAITING, StepState.STARTING.value]), asks)


def _exactly(wanted: RunFilter) -> list[ColumnElement[bool]]:
    """The fields of a filter that a column has to equal."""
    names = ("pipeline", "schedule", "parent_run", "concurrency_group")
    found = [getattr(RunRow, name) == getattr(wanted, name) for name in names if getattr(wanted, name) is not None]
    return [*found, col(RunRow.state).in_(wanted.states)] if wanted.states else found


def _is_waiting() -> ColumnElement[bool]:
    """True for a run that goes on when something outside it happens: a node comes, or an answer, or a free slot."""
    asks = and_(col(StepRow.type) == StepType.APPROVAL.value, col(StepRow.state) == StepState.RUNNING.value)
    steps = select(StepRow.run_id).where(or_(col(StepRow.state).in_(WAITING), asks))
    queued = and_(col(RunRow.state) == RunState.QUEUED.value, col(RunRow.concurrency_group).is_not(None))
    waits = or_(queued, col(RunRow.state) == RunState.PAUSED.value, col(RunRow.id).in_(steps))
    return and_(col(RunRow.state).in_(OPEN_STATES), waits)


def _steps_of(run_id: str) -> SelectOfScalar[StepRow]:
    query = select(StepRow).where(StepRow.run_id == run_id)
    return query.order_by(col(StepRow.position), col(StepRow.cell).nulls_first())


def step_status(row: StepRow) -> StepStatus:
    """A step as its workflow last told it."""
    names = StepStatus.model_fields.keys() - {"node", "try_", "finally_"}
    fields = {name: getattr(row, name) for name in names}
    return StepStatus(**fields, node=row.node_id, try_=row.try_number, finally_=row.is_finally)
