"""The intake of runs behind the control-plane activities."""

from __future__ import annotations

from gamekeeper.control_plane.access.owner import access_of_owner
from gamekeeper.control_plane.intake.accept import RunAcceptance
from gamekeeper.control_plane.intake.plan import RunPlanner
from gamekeeper.control_plane.intake.submission import Origin, Submission
from gamekeeper.control_plane.server_room import server_trouble
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.db.repositories.run_group import RunGroupRepository
from gamekeeper.disk import full_disk
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.run.run import AcceptedRun, GroupPlace, GroupRequest, RunById, RunCall, RunInput
from gamekeeper.domain.run.schedule import ScheduledRun, pipeline_of_schedule
from gamekeeper.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError


class SqlRunIntake:
    """RunIntake on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._acceptance = RunAcceptance(database, RunPlanner(database))

    async def accept_call(self, call: RunCall) -> AcceptedRun:
        """Raises UnavailableError while a disk of the server is nearly full: the call waits, as its run goes on."""
        if trouble := await self._trouble(call.run_id):
            raise full_disk(trouble)
        asked = call.call
        submission = Submission(
            pipeline=asked.name, version=asked.version, args=asked.args, envs=asked.envs, node=asked.node
        )
        origin = Origin(
            parent_run=call.parent_run,
            parent_step=call.parent_step,
            started_by=call.started_by,
            callers=tuple(call.callers),
            **await self._asked_by(call.parent_run),
        )
        return await self._accept(call.run_id, submission, origin, call.node_wait)

    async def accept_scheduled(self, scheduled: ScheduledRun) -> AcceptedRun:
        submission = Submission(
            pipeline=scheduled.pipeline,
            version=scheduled.version,
            args=scheduled.args,
            envs=scheduled.envs,
            node=scheduled.node,
        )
        origin = Origin(
            schedule=scheduled.schedule, started_by=scheduled.started_by, caller=scheduled.caller, owner=scheduled.owner
        )
        try:
            if trouble := await self._trouble(scheduled.run_id):
                raise ConflictError(trouble, hint="free space there; the schedule's next time is begun again")
            return await self._accept(scheduled.run_id, submission, origin, scheduled.node_wait)
        except (InvalidError, NotFoundError, ConflictError, ForbiddenError) as error:
            await self._tell_refused(scheduled.schedule, str(error))
            raise

    async def _asked_by(self, run_id: str) -> dict[str, str]:
        """Whoever asked for a run asked for those that it begins."""
        async with self._database.read() as session:
            row = await RunRepository(session).find(run_id)
        return {"caller": row.caller, "owner": row.owner} if row is not None else {}

    async def _tell_refused(self, schedule: str, why: str) -> None:
        """Nobody waits for the answer, so it goes into the event log."""
        async with self._database.write() as session:
            data = {"schedule": schedule, "pipeline": pipeline_of_schedule(schedule)}
            record(session, Event(kind=EventKind.SCHEDULE_REFUSED, message=f"{schedule}: {why}"[:2000], data=data))

    async def load(self, asked: RunById) -> RunInput:
        found = await self._acceptance.find(asked.run_id)
        if found is None:
            raise NotFoundError(f'there is no run "{asked.run_id}"')
        return found.model_copy(update={"behaviour": asked.behaviour, "is_indexed": asked.is_indexed})

    async def _accept(self, run_id: str, submission: Submission, origin: Origin, node_wait: float) -> AcceptedRun:
        async with self._database.read() as session:
            access = await access_of_owner(session, origin.owner)
        accepted = await self._acceptance.accept(submission, origin, node_wait=node_wait, run_id=run_id, access=access)
        run = accepted.run
        by_id = RunById(run_id=run.run_id, behaviour=run.behaviour)
        return AcceptedRun(run=by_id, pipeline=run.pipeline.name, nodes=run.pipeline.nodes())

    async def _trouble(self, run_id: str) -> str:
        """Words on a disk of the server that is nearly full. A run that was accepted before is no new work."""
        async with self._database.read() as session:
            trouble = await server_trouble(session)
            is_new = bool(trouble) and await RunRepository(session).find(run_id) is None
        return f"no new work is taken: {trouble}" if is_new else ""

    async def enter_group(self, request: GroupRequest) -> GroupPlace:
        async with self._database.write() as session:
            return await RunGroupRepository(session).enter(request.run_id, request.concurrency)

    async def next_in_line(self, request: GroupRequest) -> list[str]:
        async with self._database.read() as session:
            return await RunGroupRepository(session).next_in_line(request.concurrency)
