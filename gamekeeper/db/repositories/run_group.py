"""SQL of concurrency groups: the runs that hold a slot, and those that wait, in the order in which they came.

Who reads the others to decide takes the group's lock first, so that two that come at once see one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import load_only
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.event_log import record
from gamekeeper.db.models import RunRow
from gamekeeper.db.readable import column
from gamekeeper.db.repositories.page import Page, cut_page, decode_cursor
from gamekeeper.db.repositories.run import OPEN_STATES
from gamekeeper.db.scope import RUNS, narrowed, within
from gamekeeper.domain.access.access import ALL_PIPELINES, Scope
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.resolved import ResolvedConcurrency
from gamekeeper.domain.run.run import GroupPlace
from gamekeeper.errors import ConflictError, ForbiddenError

# No other is read: a run that is odd in one of those must not keep its whole group from going on.
_COLUMNS = [
    column(getattr(RunRow, name)) for name in ("holds_slot", "cancel_reason", "superseded_by", "concurrency_group")
]


async def lock_name(session: AsyncSession, name: str) -> None:
    """Locks the name until the transaction's end. On SQLite a writer is alone already."""
    if session.get_bind().dialect.name == "postgresql":
        statement = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 7))")
        await (await session.connection()).execute(statement, {"name": name})


@dataclass(frozen=True)
class RunGroup:
    """The runs of a group that have not ended, oldest first."""

    name: str
    running: list[str]
    waiting: list[str]


class RunGroupRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def make_room(
        self,
        run_id: str,
        concurrency: ResolvedConcurrency | None,
        joins: Scope = ALL_PIPELINES,
        sees: Scope = ALL_PIPELINES,
    ) -> list[str]:
        """Before a run is added: asks old ones to end, as the pipeline wants it; their ids. ``joins`` are the pipelines
        with whose runs this one may share a group, and ``sees`` those whose runs may be named.

        Raises ForbiddenError for a group with others' runs, and ConflictError for one that is full and rejects.
        """
        if concurrency is None or (concurrency.on_busy == "queue" and joins.is_everything):
            return []
        others = await self._locked(concurrency.group)
        if not joins.is_everything and len(await self._rows(concurrency.group, joins)) < len(others):
            raise ForbiddenError(
                f'the concurrency group "{concurrency.group}" has runs of somebody else\'s pipelines',
                hint="choose another group",
            )
        if concurrency.on_busy == "queue" or len(others) < concurrency.limit:
            return []
        if concurrency.on_busy == "reject":
            raise ConflictError(
                f'group "{concurrency.group}" is busy with {await self._named(others, concurrency.group, sees)}',
                hint="wait for its end, cancel it, or let the pipeline queue with on_busy: queue",
            )
        old = [row for row in others[: len(others) - concurrency.limit + 1] if row.cancel_reason is None]
        for row in old:
            reason = f"superseded by run {run_id}"
            row.cancel_reason, row.superseded_by = reason, run_id
            record(self._session, Event(kind=EventKind.RUN_CANCEL_REQUESTED, run=row.id, message=reason))
        return [row.id for row in old]

    async def _named(self, rows: Sequence[RunRow], group: str, sees: Scope) -> str:
        """The runs in words, with the id of the oldest one that may be named."""
        seen = rows if sees.is_everything else await self._rows(group, sees)
        if len(rows) == 1:
            return f"run {seen[0].id}" if seen else "a run"
        return f"{len(rows)} runs" + (f", the oldest is {seen[0].id}" if seen else "")

    async def enter(self, run_id: str, concurrency: ResolvedConcurrency) -> GroupPlace:
        """Takes a slot when there is one and nobody came before; asked again, it says the same."""
        rows = await self._locked(concurrency.group)
        own = next((row for row in rows if row.id == run_id), None)
        if own is None:
            return GroupPlace(granted=True)  # closed meanwhile; there is nothing to wait for
        holders = sum(row.holds_slot for row in rows)
        before = [row for row in rows[: rows.index(own)] if not row.holds_slot and row.cancel_reason is None]
        if not own.holds_slot and holders < concurrency.limit and not before:
            own.holds_slot = True
        return GroupPlace(granted=own.holds_slot, place=len(before) + 1, running=holders)

    async def next_in_line(self, concurrency: ResolvedConcurrency) -> list[str]:
        """The first that wait, one for each free slot and at least one: each looks for itself whether it may."""
        group = await self.get(concurrency.group)
        return group.waiting[: max(1, concurrency.limit - len(group.running))]

    async def page(self, scope: Scope, cursor: str | None, limit: int) -> Page[RunGroup]:
        """Groups with runs of the scope that have not ended, by name. Others' runs in them are not named."""
        names = (
            select(RunRow.concurrency_group)
            .where(within(scope, RUNS), col(RunRow.concurrency_group).is_not(None), col(RunRow.state).in_(OPEN_STATES))
            .group_by(col(RunRow.concurrency_group))
            .order_by(col(RunRow.concurrency_group))
        )
        if cursor:
            names = names.where(col(RunRow.concurrency_group) > decode_cursor(cursor))
        found = (await self._session.exec(names.limit(limit + 1))).all()
        groups = [await self.get(name, scope) for name in found if name is not None]
        return cut_page(groups, limit, lambda group: group.name)

    async def get(self, name: str, scope: Scope = ALL_PIPELINES) -> RunGroup:
        rows = await self._rows(name, scope)
        running = [row.id for row in rows if row.holds_slot]
        return RunGroup(name, running, [row.id for row in rows if not row.holds_slot])

    async def _locked(self, group: str) -> Sequence[RunRow]:
        await lock_name(self._session, f"group/{group}")
        return await self._rows(group)

    async def _rows(self, group: str, scope: Scope = ALL_PIPELINES) -> Sequence[RunRow]:
        query = select(RunRow).where(RunRow.concurrency_group == group, col(RunRow.state).in_(OPEN_STATES))
        query = narrowed(query, scope, RUNS)
        query = query.options(load_only(*_COLUMNS, raiseload=True))
        return (await self._session.exec(query.order_by(col(RunRow.created_at), RunRow.id))).all()
