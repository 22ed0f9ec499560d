"""Talks to Temporal about the schedules of instances: it holds their times, and begins a workflow at each of them.

Between its times a schedule costs nothing. Every call may be made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from temporalio import client as temporal
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

from gamekeeper.domain.instance.schedule import InstanceScheduleTerms
from gamekeeper.errors import ConflictError, GamekeeperError, NotFoundError
from gamekeeper.temporal import queues, workflow_names
from gamekeeper.temporal.ids import instance_and_schedule, instance_schedule_id, schedule_workflow_id
from gamekeeper.temporal.schedule_errors import asking_for
from gamekeeper.temporal.schedule_times import for_temporal, matching_times, says_the_same

NEXT_SHOWN = 5
ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Standing:
    """A schedule as Temporal has it. ``missed`` counts the times that it left out."""

    terms: InstanceScheduleTerms | None
    is_paused: bool
    missed: int
    next_at: Sequence[datetime]
    times: temporal.ScheduleSpec

    def is_as(self, terms: InstanceScheduleTerms, *, paused: bool) -> bool:
        wanted = for_temporal(terms.spec, datetime.now(UTC))
        return self.terms == terms and self.is_paused == paused and says_the_same(self.times, wanted)


class InstanceScheduleCalls:
    """Calls raise UnavailableError while Temporal is away."""

    def __init__(self, client: temporal.Client) -> None:
        self._client = client

    async def put(self, terms: InstanceScheduleTerms, *, paused: bool) -> None:
        """Makes the schedule, or makes the one that is there what it should be. The row alone has the user's note:
        Temporal would keep it in clear."""
        name, state = _id(terms), temporal.ScheduleState(paused=paused)
        wanted = _schedule(terms, state)
        try:
            async with asking_for(name):
                await self._client.create_schedule(name, wanted)
        except ConflictError:
            async with asking_for(name):
                await self._client.get_schedule_handle(name).update(lambda _: temporal.ScheduleUpdate(wanted))

    async def remove(self, instance: str, name: str) -> None:
        found = instance_schedule_id(instance, name)
        with suppress(NotFoundError):
            async with asking_for(found):
                await self._client.get_schedule_handle(found).delete()

    async def look(self, instance: str, name: str) -> Standing | None:
        """None for one that Temporal does not have."""
        found = instance_schedule_id(instance, name)
        try:
            async with asking_for(found):
                described = await self._client.get_schedule_handle(found).describe()
        except NotFoundError:
            return None
        info, state = described.info, described.schedule.state
        return Standing(
            terms=await self._terms(described.schedule.action),
            is_paused=state.paused,
            missed=info.num_actions_missed_catchup_window + info.num_actions_skipped_overlap,
            next_at=[] if state.paused else list(islice(info.next_action_times, NEXT_SHOWN)),
            times=described.schedule.spec,
        )

    async def times(self, instance: str, name: str, begin: datetime, end: datetime) -> list[datetime]:
        """The times of a schedule after ``begin``, a thousand at most."""
        found = instance_schedule_id(instance, name)
        async with asking_for(found):
            times = await matching_times(self._client, found, begin, end)
        return [moment for moment in times if moment > begin]

    async def _terms(self, action: temporal.ScheduleAction) -> InstanceScheduleTerms | None:
        if not isinstance(action, temporal.ScheduleActionStartWorkflow):
            return None
        try:
            terms: list[InstanceScheduleTerms] = await self._client.data_converter.decode(
                action.args, [InstanceScheduleTerms]
            )
        except GamekeeperError:
            return None  # the key that it was encrypted with is lost: the row is right, and is told again
        return terms[0]

    async def all(self) -> set[tuple[str, str]]:
        """Instance and name of each schedule of an instance that Temporal has."""
        async with asking_for():
            listed = [item.id async for item in await self._client.list_schedules()]
        return {found for item in listed if (found := instance_and_schedule(item)) is not None}

    async def run_now(self, terms: InstanceScheduleTerms, key: str) -> None:
        """One firing now, whatever else of the schedule goes on; it waits some seconds for its outcome. The same
        ``key`` is the same firing."""
        try:
            async with asking_for(terms.name):
                handle = await self._client.start_workflow(
                    workflow_names.INSTANCE_SCHEDULE,
                    terms,
                    id=f"{schedule_workflow_id(_id(terms))}-by-{key}",
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    task_queue=queues.CONTROL_PLANE,
                    static_summary=f"schedule {terms.name} of instance {terms.instance}, by hand",
                )
        except WorkflowAlreadyStartedError:
            return  # it has ended, by the same key
        try:
            async with asyncio.timeout(ANSWER_SECONDS), asking_for(terms.name):
                await handle.result()
        except TimeoutError:
            return  # its outcome comes later
        except temporal.WorkflowFailureError as error:
            raise ConflictError(f"schedule {terms.name} could not be looked at: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The words of the activity that failed, which stand at the end of the causes."""
    while isinstance(error, FailureError | temporal.WorkflowFailureError) and error.cause is not None:
        error = error.cause
    return str(error)


def _id(terms: InstanceScheduleTerms) -> str:
    return instance_schedule_id(terms.instance, terms.name)


def _schedule(terms: InstanceScheduleTerms, state: temporal.ScheduleState) -> temporal.Schedule:
    spec = terms.spec
    return temporal.Schedule(
        action=temporal.ScheduleActionStartWorkflow(
            workflow_names.INSTANCE_SCHEDULE,
            terms,
            id=schedule_workflow_id(_id(terms)),
            task_queue=queues.CONTROL_PLANE,
            static_summary=f"schedule {terms.name} of instance {terms.instance}: {spec.cron} {spec.timezone}",
        ),
        spec=for_temporal(spec, datetime.now(UTC)),
        policy=temporal.SchedulePolicy(
            overlap=temporal.ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=spec.catch_up)
        ),
        state=state,
    )
