"""Accepts runs: a request becomes a plan, and a plan becomes rows, written at once with its place in its group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.access.approvers import pin_approvers
from gamekeeper.control_plane.intake.may_run import check_own
from gamekeeper.control_plane.intake.plan import Plan, RunPlanner, check_can_begin
from gamekeeper.control_plane.intake.submission import Origin, Submission, new_run_id
from gamekeeper.control_plane.secret.naming import named_by_run
from gamekeeper.db.engine import Database
from gamekeeper.db.models import RunRow, StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.node import NodeRepository, node_view
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.db.repositories.run_group import RunGroupRepository, lock_name
from gamekeeper.db.repositories.secret_use import SecretUseRepository
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.bounds import NO_BOUNDS, Bounds, bounds_of, sight_bounds
from gamekeeper.domain.access.labels import check_no_gain
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.run.run import BEHAVIOUR, RunInput
from gamekeeper.domain.run.step import StepStatus
from gamekeeper.errors import ConflictError

MAX_OPEN_OF_SCHEDULE = 100


@dataclass(frozen=True)
class Accepted:
    """An accepted run. ``is_new`` is False for one that the same request made before; ``superseded`` are the runs of
    its group that were asked to end for it."""

    run: RunInput
    row: RunRow
    steps: list[StepRow]
    is_new: bool
    superseded: list[str] = field(default_factory=list)


Carry = Callable[[ResolvedPipeline], list[StepStatus]]


class RunAcceptance:
    """Makes a run of a request, and makes one however often the request comes."""

    def __init__(self, database: Database, planner: RunPlanner) -> None:
        self._database = database
        self._planner = planner

    async def accept(
        self,
        submission: Submission,
        origin: Origin,
        *,
        node_wait: float,
        run_id: str | None = None,
        carry: Carry | None = None,
        access: Access | None = None,
    ) -> Accepted:
        """Plans the run and writes it. A workflow names the run by ``run_id`` and gets the same run when it asks again;
        others have the submission's idempotency key for that. ``carry`` chooses what is taken over from an earlier run.
        ``access`` is what the owner may do, None for somebody who may do everything.

        Raises ForbiddenError for a pipeline that is brought along and that ``access`` does not let in, and for a group
        with others' runs, SpecError and NotFoundError as planning does, InvalidError for more than a workflow can begin
        with, and ConflictError for a group that is busy and rejects, a schedule whose runs pile up, and an idempotency
        key of another request.
        """
        known = await self._known(submission, run_id, origin)
        if known is not None:
            return known
        new_id = run_id or new_run_id()
        held = await self._held_above(origin.parent_run)
        first = await self._first_run(origin.rerun_of)
        bounds = bounds_of(access) if access is not None else NO_BOUNDS
        sight = sight_bounds(access) if access is not None else NO_BOUNDS
        plan = await self._planner.plan(
            submission, node_wait, new_id, origin.callers, held, first, origin.caller, bounds, sight
        )
        if access is not None:
            await self._check_labels(access, plan.pipeline, is_own=submission.pipeline is None and not origin.rerun_of)
        carried = carry(plan.pipeline) if carry else []
        check_can_begin(plan, carried)
        try:
            return await self._write(new_id, plan, origin, carried, sight)
        except ConflictError:
            # the same request came twice at once, and one row won
            known = await self._known(submission, run_id, origin)
            if known is None:
                raise
            return known

    async def _check_labels(self, access: Access, resolved: ResolvedPipeline, *, is_own: bool) -> None:
        """Of a stored pipeline the arguments may have a say in the labels of a run."""
        target = Target(ObjectKind.PIPELINE, resolved.name, resolved.labels)
        async with self._database.read() as session:
            if is_own:
                await check_own(session, access, target, runs=True)
            else:
                stored = await TargetRepository(session).pipeline(resolved.name)
                check_no_gain(access, stored or replace(target, labels={}), target)

    async def _write(
        self, run_id: str, plan: Plan, origin: Origin, carried: list[StepStatus], sight: Bounds
    ) -> Accepted:
        row, steps = _rows(run_id, plan, origin, carried)
        async with self._database.write() as session:
            if origin.schedule is not None:
                await _check_not_flooded(session, origin.schedule)
            superseded = await RunGroupRepository(session).make_room(
                run_id, plan.pipeline.concurrency, plan.bounds.pipelines, sight.pipelines
            )
            await pin_approvers(session, plan.pipeline, steps)
            await RunRepository(session).add(row, steps)
            await SecretUseRepository(session).note_run(run_id, named_by_run(plan.pipeline))
        callers = list(origin.callers)
        run = RunInput(
            run_id=run_id,
            pipeline=plan.pipeline,
            nodes=plan.nodes,
            carried=carried,
            callers=callers,
            behaviour=BEHAVIOUR,
            caller=origin.caller,
        )
        return Accepted(run, row, steps, is_new=True, superseded=superseded)

    async def _known(self, submission: Submission, run_id: str | None, origin: Origin) -> Accepted | None:
        key = submission.idempotency_key
        if run_id is None and key is None:
            return None
        async with self._database.read() as session:
            runs = RunRepository(session)
            row = await (runs.find_whole(run_id) if run_id is not None else runs.by_idempotency_key(key or ""))
            if row is None:
                return None
            if run_id is None and row.owner not in ("", origin.owner):
                raise ConflictError(f'Idempotency-Key "{key}" is that of somebody else', hint="use another key")
            if run_id is None and row.request_hash != submission.fingerprint:
                raise ConflictError(
                    f'Idempotency-Key "{key}" belongs to run {row.id} of another request',
                    hint="use a new key for a new request",
                )
            return Accepted(await stored_input(session, row), row, await runs.steps(row.id), is_new=False)

    async def _held_above(self, run_id: str | None) -> frozenset[str]:
        """The concurrency groups of a run and of those whose steps it is."""
        groups = set()
        if run_id is not None:
            async with self._database.read() as session:
                while run_id is not None and (row := await RunRepository(session).find(run_id)) is not None:
                    groups.add(row.concurrency_group)
                    run_id = row.parent_run
        return frozenset(group for group in groups if group is not None)

    async def _first_run(self, rerun_of: str | None) -> str:
        """The earliest of the runs that a rerun repeats, as far as they are kept; empty for none."""
        first = ""
        async with self._database.read() as session:
            while rerun_of is not None:
                row = await RunRepository(session).find(rerun_of)
                first, rerun_of = rerun_of, row.rerun_of if row is not None else None
        return first

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
        run_id=row.id,
        pipeline=resolved,
        nodes=nodes,
        carried=carried,
        callers=row.callers,
        behaviour=BEHAVIOUR,
        caller=row.caller,
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
            approvers={},
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
        caller=origin.caller[:210],
        owner=origin.owner,
        started_workflow=origin.started_by is not None,
        created_at=utc_now(),
    )
    return row, steps
