"""SQL of the ends of the runs of each pipeline and schedule ended, for those who watch them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, extract, func, or_, select
from sqlalchemy.engine import Row
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import PipelineRow, RunRow, StepRow
from gamekeeper.domain.run.run import FINAL_RUN_STATES, RunState
from gamekeeper.domain.run.step import StepState

MAX_SHOWN = 200


@dataclass
class RunOutcomes:
    """``ended`` and the durations are by state. ``waits_since`` is when the oldest wait began, in the queue or for a
    node. ``failed_in_a_row`` are those since the newest success."""

    pipeline: str
    schedule: str | None
    ended: dict[str, int] = field(default_factory=dict)
    timed: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    last_success: datetime | None = None
    last_failure: datetime | None = None
    waits_since: datetime | None = None
    failed_in_a_row: int = 0
    newest_id: str = ""

    def add(self, row: Row[Any]) -> None:
        self.newest_id = max(self.newest_id, row.newest_id)
        if row.state == RunState.QUEUED:
            self.wait(row.created_at)
        if row.state not in FINAL_RUN_STATES:  # which a state of a newer version is not, as far as this one knows
            return
        self.ended[row.state], self.timed[row.state] = row.runs, row.timed
        self.seconds[row.state] = float(row.seconds or 0)
        if row.state == RunState.SUCCEEDED:
            self.last_success = row.finished_at
        elif row.state == RunState.FAILED:
            self.last_failure = row.finished_at

    def wait(self, since: datetime) -> None:
        self.waits_since = min(since, self.waits_since or since)


class RunOutcomeRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def newest(self) -> list[RunOutcomes]:
        """At most ``MAX_SHOWN``, those with the newest runs. A stored pipeline that was deleted is none of them.

        Every column stands in one index, so that no run's text is read, but that of one run for each pipeline and
        schedule of which a step waits for its node.
        """
        connection = await self._session.connection()
        found: dict[tuple[str, str | None], RunOutcomes] = {}
        for row in await connection.execute(_sums(connection.dialect.name)):
            found.setdefault((row.pipeline, row.schedule), RunOutcomes(row.pipeline, row.schedule)).add(row)
        for whose, since in await self._node_waits():
            if whose in found:
                found[whose].wait(since)
        shown = sorted(found.values(), key=lambda each: each.newest_id, reverse=True)[:MAX_SHOWN]
        for each in shown:
            if each.last_failure and (each.last_success is None or each.last_failure > each.last_success):
                each.failed_in_a_row = await self._failed_since(each)
        return shown

    async def _node_waits(self) -> list[tuple[tuple[str, str | None], datetime]]:
        """Pipelines and schedules of which a step waits for its node, and since when: its deadline tells, which is
        always as far off as the run says."""
        connection = await self._session.connection()
        oldest: dict[tuple[str, str | None], tuple[datetime, str]] = {}
        for row in await connection.execute(_NODE_WAITS):
            whose = (row.pipeline, row.schedule)
            oldest[whose] = min(oldest.get(whose, (row.until, row.id)), (row.until, row.id))
        limit = col(RunRow.resolved)["node_wait"].as_float().label("seconds")
        query = select(col(RunRow.id), limit).where(col(RunRow.id).in_([run for _, run in oldest.values()]))
        limits = {row.id: row.seconds for row in await connection.execute(query) if row.seconds is not None}
        return [
            (whose, until - timedelta(seconds=limits[run])) for whose, (until, run) in oldest.items() if run in limits
        ]

    async def _failed_since(self, each: RunOutcomes) -> int:
        query = select(func.count()).where(
            col(RunRow.pipeline) == each.pipeline,
            col(RunRow.schedule).is_not_distinct_from(each.schedule),
            col(RunRow.state) == RunState.FAILED.value,
        )
        if each.last_success:
            query = query.where(col(RunRow.finished_at) > each.last_success)
        return (await (await self._session.connection()).execute(query)).scalar_one()


_NODE_WAITS = (
    select(col(RunRow.pipeline), col(RunRow.schedule), col(RunRow.id), func.min(StepRow.deadline_at).label("until"))
    .join(StepRow, col(StepRow.run_id) == col(RunRow.id))
    .where(
        col(StepRow.state) == StepState.WAITING_NODE.value,
        col(StepRow.deadline_at).is_not(None),
        col(RunRow.state).not_in([state.value for state in FINAL_RUN_STATES]),
    )
    .group_by(col(RunRow.pipeline), col(RunRow.schedule), col(RunRow.id))
)


def _sums(dialect: str) -> Select[Any]:
    """A row for each pipeline, schedule and state."""
    stored = select(col(PipelineRow.name)).where(col(PipelineRow.deleted_at).is_(None))
    columns: list[Any] = [
        *(col(RunRow.pipeline), col(RunRow.schedule), col(RunRow.state), func.count().label("runs")),
        func.count(col(RunRow.started_at)).label("timed"),
        func.sum(_seconds(dialect)).label("seconds"),
        func.max(RunRow.finished_at).label("finished_at"),
        func.min(RunRow.created_at).label("created_at"),
        func.max(RunRow.id).label("newest_id"),
    ]
    return (
        select(*columns)
        .where(or_(col(RunRow.pipeline_version).is_(None), col(RunRow.pipeline).in_(stored)))
        .group_by(col(RunRow.pipeline), col(RunRow.schedule), col(RunRow.state))
    )


def _seconds(dialect: str) -> ColumnElement[Any]:
    if dialect == "postgresql":
        return extract("epoch", col(RunRow.finished_at) - col(RunRow.started_at))
    return (func.julianday(RunRow.finished_at) - func.julianday(RunRow.started_at)) * 86_400.0
