"""A plan as rows, written at once with what its concurrency group makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.intake.plan import Plan
from gamekeeper.control_plane.intake.submission import Origin
from gamekeeper.db.engine import Database
from gamekeeper.db.models import RunRow, StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.node import NodeRepository, node_view
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.db.repositories.run_group import RunGroupRepository, lock_name
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.run.run import BEHAVIOUR, RunInput
from gamekeeper.domain.run.step import StepStatus
from gamekeeper.errors import ConflictError

MAX_OPEN_OF_SCHEDULE = 100


@dataclass(frozen=True)
class Accepted:
    """``superseded`` are the runs of its group that were asked to end for it."""

    run: RunInput
    row: RunRow
    superseded: list[str]


class RunAcceptance:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, run_id: str, plan: Plan, origin: Origin, carried: list[StepStatus]) -> Accepted:
        """Raises ConflictError for a run that exists, for a group that is busy and rejects, and for a schedule whose
        runs pile up."""
        row, steps = _rows(run_id, plan, origin, carried)
        async with self._database.write() as session:
            if origin.schedule is not None:
                await _check_not_flooded(session, origin.schedule)
            superseded = await RunGroupRepository(session).make_room(run_id, plan.pipeline.concurrency)
            await RunRepository(session).add(row, steps)
        callers = list(origin.callers)
        run = RunInput(
            run_id=run_id,
            pipeline=plan.pipeline,
            nodes=plan.nodes,
            carried=carried,
            callers=callers,
            behaviour=BEHAVIOUR,
        )
        return Accepted(run, row, superseded)

    async def find(self, run_id: str) -> RunInput | None:
        """Reads the argument of an accepted run's workflow from the run's row."""
        async with self._database.read() as session:
            row = await RunRepository(session).find_whole(run_id)
            return await stored_input(session, row) if row else None


async def _check_not_flooded(session: AsyncSession, schedule: str) -> None:
    """Runs that take longer than their schedule's period, and may overlap, would pile up without an end."""
    await lock_name(session, f"schedule/{schedule}")
    count = (await RunRepository(session).count_open_by_schedule()).get(schedule, 0)
    if count >= MAX_OPEN_OF_SCHEDULE:
        raise ConflictError(f"{count} runs of schedule {schedule} have not ended; this one is left out")


async def stored_input(session: AsyncSession, row: RunRow) -> RunInput:
    resolved = ResolvedPipeline.model_validate(row.resolved)
    nodes = {node.id: node_view(node) for node in await NodeRepository(session).find_many(resolved.nodes())}
    carried = [StepStatus.model_validate(status) for status in row.carried]
    return RunInput(
        run_id=row.id, pipeline=resolved, nodes=nodes, carried=carried, callers=row.callers, behaviour=BEHAVIOUR
    )


def _rows(run_id: str, plan: Plan, origin: Origin, carried: list[StepStatus]) -> tuple[RunRow, list[StepRow]]:
    resolved, submission = plan.pipeline, plan.submission
    finals = {step.name for step in resolved.finally_}
    steps = [
        StepRow(
            run_id=run_id,
            name=step.name,
            position=index,
            type=step.type.value,
            node_id=step.node,
            needs=step.needs,
            is_finally=step.name in finals,
            # SQLModel asks for each default again by inspecting its factory: half of the time of a large pipeline.
            ports=[],
            outputs={},
            matrix={},
        )
        for index, step in enumerate(resolved.all_steps())
    ]
    group = resolved.concurrency
    row = RunRow(
        id=run_id,
        pipeline=resolved.name,
        labels=resolved.labels,
        args=dict(resolved.args),
        source=submission.source(),
        call=submission.call(),
        pipeline_version=submission.version,
        rerun_of=origin.rerun_of,
        parent_run=origin.parent_run,
        parent_step=origin.parent_step,
        schedule=origin.schedule,
        callers=list(origin.callers),
        carried=[status.model_dump(mode="json", by_alias=True) for status in carried],
        concurrency_group=group.group if group else None,
        resolved=resolved.model_dump(mode="json", exclude_unset=True),
        idempotency_key=submission.idempotency_key,
        request_hash=submission.fingerprint,
        started_by=origin.started_by,
        started_workflow=origin.started_by is not None,
        created_at=utc_now(),
    )
    return row, steps
