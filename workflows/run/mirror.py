"""Keeps the read model at the newest state of a run: one write at a time, each with all that changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.runs import RunActivities
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.run import RunResult, RunSnapshot, RunState
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.policies import control_activity
    from workflows.run.rooms import Rooms

LINGER = timedelta(milliseconds=250)
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class OpenRun(NamedTuple):
    """A run until it has a result. ``ends_now``: its result follows without anything else to wait for."""

    state: RunState
    message: str
    started_at: datetime | None
    ends_now: bool


class Mirror:
    """``now`` tells what the run is. ``finish`` gives it its result, with which ``run`` returns."""

    def __init__(self, progress: RunProgress, rooms: Rooms, behaviour: int, now: Callable[[], OpenRun]) -> None:
        self._progress = progress
        self._rooms = rooms
        self._behaviour = behaviour
        self._now = now
        self._result: RunResult | None = None
        self._version = 0
        self._written_version = 0
        self._asked_for = 0
        self._told_at = _LONG_AGO

    def finish(self, result: RunResult) -> None:
        self._result = result

    async def written(self) -> None:
        """Waits until the read model has all that is known now."""
        following = self._asked_for = self._version + 1
        await workflow.wait_condition(lambda: self._written_version >= following)

    async def run(self) -> None:
        final = False
        while not final:
            await workflow.wait_condition(self._has_news)
            if self._behaviour >= 2:
                await self._linger()
            self._told_at = workflow.now()
            snapshot = self._snapshot()
            final = snapshot.state.is_final
            workflow.set_current_details(self._progress.markdown())
            try:
                await self._write(snapshot)
            except ActivityError as error:  # refused for what is in it, which must not hold up the run
                workflow.logger.warning("a state of run %s can't be kept whole: %s", snapshot.run_id, error.cause)
                await self._write(snapshot.bare())
            self._written_version = snapshot.version

    async def _write(self, snapshot: RunSnapshot) -> None:
        await workflow.execute_activity_method(
            RunActivities.write_snapshot,
            snapshot,
            **control_activity(queues.CONTROL_PLANE, summary=f"state {self._progress.state}"),
        )

    def _has_news(self) -> bool:
        if self._result is not None:
            return True
        return self._progress.has_changes and not (self._behaviour >= 2 and self._now().ends_now)

    async def _linger(self) -> None:
        """Each write is an activity and a workflow task: what changes close together is told together."""
        wait = self._told_at + LINGER - workflow.now()
        if wait > timedelta():
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._result is not None or self._asked_for > self._version,
                    timeout=wait,
                    timeout_summary="changes are told together",
                )

    def _snapshot(self) -> RunSnapshot:
        self._version += 1
        steps = self._progress.take_changes()
        result = None if self._progress.has_changes else self._result  # the end comes with the last change
        now = self._now()
        snapshot = RunSnapshot(
            run_id=self._progress.run_id,
            version=self._version,
            state=result.state if result else now.state,
            reason=result.reason if result else None,
            message=result.message if result else now.message,
            started_at=now.started_at,
            finished_at=workflow.now() if result else None,
            steps=steps,
        )
        return self._rooms.told(snapshot)
