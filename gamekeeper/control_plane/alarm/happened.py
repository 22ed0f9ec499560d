"""Events that alarms may be about, each with the object that it is of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import EventRow, RunRow
from gamekeeper.db.readable import column, readable
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.sight import Known, pipeline_of
from gamekeeper.domain.alarm.subject import SERVER, Subject

BATCH = 1000


@dataclass(frozen=True)
class Happened:
    kind: str
    reason: str
    message: str
    at: datetime
    subject: Subject


@dataclass(frozen=True)
class News:
    """``seq`` is the last event that was looked at; ``is_cut`` tells that there are more."""

    events: Sequence[Happened]
    seq: int
    moves_nodes: bool = False
    is_cut: bool = False


async def read_news(session: AsyncSession, after: int, kinds: Collection[str]) -> News:
    """The events of these kinds behind ``after``, and whether an object changed its state."""
    query = select(EventRow).where(col(EventRow.seq) > after).order_by(col(EventRow.seq)).limit(BATCH)
    rows, seqs = await readable(session, query, column(EventRow.seq))
    wanted = [row for row in rows if row.kind in kinds]
    moves = any(row.kind.startswith(("node.", "instance.", "alarm.")) for row in rows)
    known = await TargetRepository(session).known(wanted)
    children = await _called_runs(session, {row.run for row in wanted if row.run})
    found = [_happened(row, known) for row in wanted if row.run not in children]
    return News(found, max(seqs, default=after), moves, len(seqs) == BATCH)


async def _called_runs(session: AsyncSession, ids: Collection[str]) -> set[str]:
    """Runs that a step of another run called: its failure is that one's, and one cause is one alarm."""
    if not ids:
        return set()
    query = select(RunRow.id).where(col(RunRow.id).in_(ids), col(RunRow.parent_run).is_not(None))
    return set((await session.exec(query)).all())


def _happened(row: EventRow, known: Known) -> Happened:
    return Happened(row.kind, row.reason, row.message, row.at, _subject(row, known))


def _subject(row: EventRow, known: Known) -> Subject:
    if row.instance:
        target = known.instances.get(row.instance)
        return Subject("instance", row.instance, row.node, labels=target.labels if target else {})
    if row.run:
        target = known.runs.get(row.run)
        name = target.id if target else row.run
        return Subject("pipeline", name, pipeline=name, run=row.run, labels=target.labels if target else {})
    if row.node:
        target = known.nodes.get(row.node)
        return Subject("node", row.node, row.node, labels=target.labels if target else {})
    if name := pipeline_of(row):
        target = known.pipelines.get(name)
        return Subject("pipeline", name, pipeline=name, labels=target.labels if target else {})
    return SERVER
