"""Schedules: Temporal alone keeps them. The user's own words are the argument of the workflow that a schedule starts,
so there is no second copy to disagree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from temporalio import client as temporal

from gamekeeper.actor import current_actor
from gamekeeper.control_plane.intake.may_run import check_node
from gamekeeper.control_plane.intake.plan import RunPlanner
from gamekeeper.control_plane.intake.submission import Submission
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.access import Access, Scope
from gamekeeper.domain.access.bounds import bounds_of, sight_bounds
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.clock_change import covered_since
from gamekeeper.domain.language.cron import Overlap
from gamekeeper.domain.language.pipeline import MAX_SCHEDULES
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.run.schedule import (
    MAX_BACKFILL,
    ScheduledRun,
    ScheduleSpec,
    ScheduleTerms,
    StandingSchedule,
    pipeline_of_schedule,
    schedule_id,
)
from gamekeeper.errors import ConflictError, GamekeeperError, InvalidError, NotFoundError
from gamekeeper.supervised import Supervised
from gamekeeper.temporal import queues, workflow_names
from gamekeeper.temporal.ids import INSTANCE_PREFIX, schedule_workflow_id
from gamekeeper.temporal.schedule_errors import asking_for
from gamekeeper.temporal.schedule_times import for_temporal, matching_times, says_the_same
from gamekeeper.temporal.sealed_words import opened_words, sealed_words

NEXT_SHOWN = 5
_OVERLAP = {
    "skip": temporal.ScheduleOverlapPolicy.SKIP,
    "queue": temporal.ScheduleOverlapPolicy.BUFFER_ALL,
    "allow": temporal.ScheduleOverlapPolicy.ALLOW_ALL,
    "cancel_old": temporal.ScheduleOverlapPolicy.CANCEL_OTHER,
}


@dataclass(frozen=True)
class ScheduleCall:
    """The arguments for every run of a pipeline's schedules; ``version`` None means the newest at each time."""

    version: int | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    envs: Mapping[str, str] = field(default_factory=dict)
    node: str | None = None


class UnreadableTermsError(ConflictError):
    """The key is gone that a schedule was encrypted with."""


class ScheduleService:
    def __init__(self, database: Database, client: temporal.Client, node_wait_seconds: float) -> None:
        self._database = database
        self._client = client
        self._planner = RunPlanner(database)
        self._node_wait = node_wait_seconds
        self.care = Supervised("schedules")

    async def apply(self, pipeline: str, call: ScheduleCall, access: Access) -> list[StandingSchedule]:
        """Makes the schedules of a stored pipeline what its own ``schedule`` says; asked again, it changes nothing.

        Its runs are within the bounds of whoever applied it last, as far as the pipeline is not trusted. Raises
        NotFoundError, InvalidError for a pipeline without one, SpecError for one that could not run, and ForbiddenError
        for a node that ``access`` does not reach.
        """
        async with self._database.read() as session:
            await check_node(session, access, call.node)
        submission = Submission(pipeline=pipeline, version=call.version, args=call.args, envs=call.envs, node=call.node)
        submission = await self._planner.with_node(submission, access.scope(Verb.RUN, ObjectKind.NODE))
        call = replace(call, node=submission.node)
        bounds, by = bounds_of(access), current_actor()
        planning = self._planner.plan(submission, self._node_wait, caller=by, bounds=bounds, sight=sight_bounds(access))
        planned = (await planning).submission
        checked, _, _ = await self._planner.judge.check(await self._planner.document(planned))
        if not checked.schedule:
            message = f'pipeline "{pipeline}" version {planned.version} has no "schedule"'
            raise InvalidError(message, hint='add schedule: [{cron: "0 5 * * *"}] and push it')
        wanted = []
        for index, line in enumerate(checked.schedule):
            catch_up = parse_duration(line.catch_up).total_seconds()
            spec = ScheduleSpec(cron=line.cron, timezone=line.timezone, overlap=line.overlap, catch_up=catch_up)
            wanted.append(await self._apply_one(schedule_id(pipeline, index), spec, pipeline, call, access.holder))
        for old in await self.of(pipeline):
            if old not in {schedule.id for schedule in wanted}:
                await self.delete(old)
        return wanted

    async def _apply_one(
        self, name: str, spec: ScheduleSpec, pipeline: str, call: ScheduleCall, owner: str
    ) -> StandingSchedule:
        runs = ScheduledRun(
            schedule=name,
            pipeline=pipeline,
            version=call.version,
            args=dict(call.args),
            envs=dict(call.envs),
            node=call.node,
            node_wait=self._node_wait,
            owner=owner,
        )
        terms = ScheduleTerms(spec=spec, runs=runs, created_by=current_actor())
        try:
            known, is_there = await self._find(name), True
        except UnreadableTermsError:
            known, is_there = None, True
        else:
            is_there = known is not None
        if known is not None and (known.spec, known.runs) == (spec, runs):
            return await self.get(name)
        async with asking_for(name):
            if not is_there:
                await self._client.create_schedule(name, _schedule(terms, temporal.ScheduleState()))
            else:
                await self._client.get_schedule_handle(name).update(_with_terms(terms))
        await self._tell(
            name, EventKind.SCHEDULE_CHANGED if is_there else EventKind.SCHEDULE_CREATED, f"{spec.cron} {spec.timezone}"
        )
        return await self.get(name)

    async def get(self, name: str) -> StandingSchedule:
        found = await self._find(name)
        if found is None:
            raise NotFoundError(f'there is no schedule "{name}"', hint="gamekeeper schedule ls lists them")
        return found.model_copy(update={"running": (await self._running()).get(name, 0)})

    async def _running(self) -> dict[str, int]:
        """The running workflows of each schedule. Temporal does not count those that may overlap."""
        async with self._database.read() as session:
            return await RunRepository(session).count_open_by_schedule()

    async def _find(self, name: str) -> StandingSchedule | None:
        try:
            async with asking_for(name):
                described = await self._client.get_schedule_handle(name).describe()
        except NotFoundError:
            return None
        terms = await self._terms(name, described.schedule.action)
        if terms is None:
            return None
        info, state = described.info, described.schedule.state
        return StandingSchedule(
            id=name,
            **dict(terms),
            paused=state.paused,
            note=await opened_words(self._client, state.note or ""),
            missed=info.num_actions_missed_catchup_window + info.num_actions_skipped_overlap,
            last_at=info.recent_actions[-1].started_at if info.recent_actions else None,
            next_at=[] if state.paused else list(islice(info.next_action_times, NEXT_SHOWN)),
        )

    async def _readable(self, name: str) -> StandingSchedule | None:
        """None also of one whose terms can't be decrypted: it is told once, and holds up no other."""
        try:
            return await self._find(name)
        except UnreadableTermsError as error:
            self.care.skipped(f'schedule "{name}"', error)
            return None

    async def _terms(self, name: str, action: temporal.ScheduleAction) -> ScheduleTerms | None:
        """None of a schedule that is somebody else's. Raises UnreadableTermsError."""
        if not isinstance(action, temporal.ScheduleActionStartWorkflow):
            return None
        if action.workflow != workflow_names.SCHEDULED_RUN:
            return None
        try:
            terms: list[ScheduleTerms] = await self._client.data_converter.decode(action.args, [ScheduleTerms])
        except GamekeeperError as error:
            raise UnreadableTermsError(
                f'schedule "{name}" can\'t be read: {error.message}',
                hint=f"apply its pipeline again, or remove it: gamekeeper schedule rm {name}",
            ) from error
        return terms[0]

    async def list_all(self, scope: Scope) -> list[StandingSchedule]:
        """The schedules of pipelines of the scope. Temporal has them, so this is no question to the database."""
        found = [await self._readable(name) for name in await self._ids()]
        running = await self._running()
        schedules = await self._narrowed([schedule for schedule in found if schedule is not None], scope)
        return [schedule.model_copy(update={"running": running.get(schedule.id, 0)}) for schedule in schedules]

    async def _narrowed(self, found: list[StandingSchedule], scope: Scope) -> list[StandingSchedule]:
        if scope.is_everything or not found:
            return found
        async with self._database.read() as session:
            known = await TargetRepository(session).pipelines({schedule.runs.pipeline for schedule in found})
        covered = {name for name, target in known.items() if scope.covers(target)}
        return [schedule for schedule in found if schedule.runs.pipeline in covered]

    async def of(self, pipeline: str) -> list[str]:
        """The ids of a pipeline's schedules. Each is asked for: Temporal's list is behind what was just made."""
        names = [schedule_id(pipeline, index) for index in range(MAX_SCHEDULES)]
        found = await asyncio.gather(*[self._readable(name) for name in names])
        return [schedule.id for schedule in found if schedule is not None and schedule.runs.pipeline == pipeline]

    async def check_none_of(self, pipeline: str) -> None:
        """Raises ConflictError while schedules start the pipeline."""
        if found := await self.of(pipeline):
            hint = f"gamekeeper schedule rm {found[0]}"
            raise ConflictError(f'pipeline "{pipeline}" is started by {", ".join(found)}', hint=hint)

    async def _ids(self) -> list[str]:
        """Those of instances are left out: their rows are what counts (``api.services.instance.schedule``)."""
        async with asking_for():
            found = [listed.id async for listed in await self._client.list_schedules()]
        return sorted(name for name in found if not name.startswith(INSTANCE_PREFIX))

    async def prove_all(self) -> None:
        """Gives the terms of all schedules to Temporal once more, by the client as it is now. Idempotent."""
        for name in await self._ids():
            known = await self._readable(name)
            if known is not None:
                terms = ScheduleTerms(spec=known.spec, runs=known.runs, created_by=known.created_by)
                async with asking_for(name):
                    await self._client.get_schedule_handle(name).update(_with_terms(terms))

    async def keep_times(self) -> None:
        """Tells Temporal the changes of clocks that came into sight since it was told last. Idempotent."""
        for name in await self._ids():
            with suppress(NotFoundError, UnreadableTermsError):  # deleted just now, or told already
                await self._keep_times(name)

    async def _keep_times(self, name: str) -> None:
        handle = self._client.get_schedule_handle(name)
        async with asking_for(name):
            known = (await handle.describe()).schedule
            terms = await self._terms(name, known.action)
            if terms is not None and not says_the_same(known.spec, for_temporal(terms.spec, datetime.now(UTC))):
                await handle.update(_with_terms(terms))

    async def delete(self, name: str) -> None:
        """Runs that it has started go on."""
        with suppress(UnreadableTermsError):
            await self.get(name)
        async with asking_for(name):
            await self._client.get_schedule_handle(name).delete()
        await self._tell(name, EventKind.SCHEDULE_DELETED, "")

    async def set_paused(self, name: str, paused: bool, note: str) -> StandingSchedule:
        await self.get(name)
        handle = self._client.get_schedule_handle(name)
        text = note or f"{'paused' if paused else 'resumed'} by {current_actor()}"
        sealed = await sealed_words(self._client, text)
        async with asking_for(name):
            await (handle.pause(note=sealed) if paused else handle.unpause(note=sealed))
        await self._tell(name, EventKind.SCHEDULE_PAUSED if paused else EventKind.SCHEDULE_RESUMED, note)
        return await self.get(name)

    async def trigger(self, name: str) -> StandingSchedule:
        """One run now, whatever else of it runs; a concurrency group holds all the same."""
        await self.get(name)
        async with asking_for(name):
            await self._client.get_schedule_handle(name).trigger(overlap=temporal.ScheduleOverlapPolicy.ALLOW_ALL)
        await self._tell(name, EventKind.SCHEDULE_TRIGGERED, "")
        return await self.get(name)

    async def backfill(self, name: str, start: datetime, end: datetime, overlap: Overlap) -> int:
        """Returns the number of runs that it makes up for: those of times between ``start`` and ``end``, and at them.

        Raises InvalidError for a span without a time, one that is not over, and one with too many.
        """
        spec, now = (await self.get(name)).spec, datetime.now(UTC)
        if end <= start or end > now:
            raise InvalidError("a backfill needs a span of the past: from before to, and to not after now")
        if start < covered_since(now):
            raise InvalidError(f"a backfill goes back to {covered_since(now):%Y} at most", hint="take a later from")
        async with asking_for(name):
            count = await self._count(name, start, end)
        if count == 0:
            raise InvalidError(f'"{spec.cron}" {spec.timezone} does not come between {start} and {end}')
        if count > MAX_BACKFILL:
            message = f'"{spec.cron}" comes more than {MAX_BACKFILL} times between {start} and {end}'
            raise InvalidError(message, hint="take a shorter span")
        async with asking_for(name):
            await self._client.get_schedule_handle(name).backfill(
                temporal.ScheduleBackfill(start_at=start, end_at=end, overlap=_OVERLAP[overlap])
            )
        await self._tell(name, EventKind.SCHEDULE_BACKFILLED, f"{count} from {start.isoformat()} to {end.isoformat()}")
        return count

    async def _count(self, name: str, start: datetime, end: datetime) -> int:
        """One more than ``MAX_BACKFILL`` for all that is over it: Temporal gives a thousand times at once."""
        found = await matching_times(self._client, name, start, end)
        while found and len(found) <= MAX_BACKFILL:
            more = await matching_times(self._client, name, found[-1] + timedelta(seconds=1), end)
            if not more:
                break
            found += more
        return min(len(found), MAX_BACKFILL + 1)

    async def _tell(self, name: str, kind: EventKind, message: str) -> None:
        async with self._database.write() as session:
            text = f"{name}: {message}" if message else name
            record(
                session, Event(kind=kind, message=text, data={"schedule": name, "pipeline": pipeline_of_schedule(name)})
            )


def _with_terms(terms: ScheduleTerms) -> Callable[[temporal.ScheduleUpdateInput], temporal.ScheduleUpdate]:
    return lambda now: temporal.ScheduleUpdate(_schedule(terms, now.description.schedule.state))


def _schedule(terms: ScheduleTerms, state: temporal.ScheduleState) -> temporal.Schedule:
    spec = terms.spec
    return temporal.Schedule(
        action=temporal.ScheduleActionStartWorkflow(
            workflow_names.SCHEDULED_RUN,
            terms,
            id=schedule_workflow_id(terms.runs.schedule),
            task_queue=queues.CONTROL_PLANE,
            static_summary=f"schedule {terms.runs.schedule} of {terms.runs.pipeline}: {spec.cron} {spec.timezone}",
        ),
        spec=for_temporal(spec, datetime.now(UTC)),
        policy=temporal.SchedulePolicy(
            overlap=_OVERLAP[spec.overlap], catchup_window=timedelta(seconds=max(10.0, spec.catch_up))
        ),
        state=state,
    )
