"""A run's place in its concurrency group: it begins when it holds a slot, and wakes the next when it has ended."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.intake import IntakeActivities
    from gamekeeper.domain.language.resolved import ResolvedConcurrency
    from gamekeeper.domain.run.run import GroupPlace, GroupRequest
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.ids import run_workflow_id
    from gamekeeper.temporal.policies import control_activity

# A run that ends wakes the next run of its group. A terminated workflow wakes nobody, so a waiting run also looks for
# itself now and then.
LOOK_AGAIN = timedelta(seconds=30)
WAKE = "slot_free"


class GroupQueue:
    """``waiting`` is True until the run may begin; ``message`` names the runs that it waits for."""

    def __init__(self, run_id: str, concurrency: ResolvedConcurrency | None) -> None:
        self._run_id = run_id
        self._concurrency = concurrency
        self._woken = False
        self.waiting = concurrency is not None
        self.message = ""

    def wake(self) -> None:
        self._woken = True

    async def enter(self, told: Callable[[], None], given_up: Callable[[], bool]) -> None:
        """Waits until the run may begin or is ``given_up``. ``told`` is called when ``message`` is new."""
        if self._concurrency is None:
            return
        request = GroupRequest(run_id=self._run_id, concurrency=self._concurrency)
        while True:
            self._woken = False
            place = await workflow.execute_activity_method(
                IntakeActivities.enter_group,
                request,
                **control_activity(queues.CONTROL_PLANE, summary=f"enter group {self._concurrency.group}"),
            )
            if place.granted:
                self.waiting = False
                return
            if given_up():
                return
            self._tell(self._concurrency, place, told)
            try:
                await workflow.wait_condition(
                    lambda: self._woken or given_up(),
                    timeout=LOOK_AGAIN,
                    timeout_summary=f"waits in {self._concurrency.group}",
                )
            except builtins.TimeoutError:
                continue
            if given_up():
                return

    def _tell(self, concurrency: ResolvedConcurrency, place: GroupPlace, told: Callable[[], None]) -> None:
        busy = f"{place.running} of {concurrency.limit} run, place {place.place}"
        message = f'waits in group "{concurrency.group}": {busy}'
        if message != self.message:
            self.message = message
            told()

    async def leave(self) -> None:
        """Wakes the next runs, after this run's end was written. One that can't be woken looks for itself."""
        if self._concurrency is None:
            return
        waiting = await workflow.execute_activity_method(
            IntakeActivities.next_in_line,
            GroupRequest(run_id=self._run_id, concurrency=self._concurrency),
            **control_activity(queues.CONTROL_PLANE, summary=f"leave group {self._concurrency.group}"),
        )
        for run_id in waiting:
            try:
                await workflow.get_external_workflow_handle(run_workflow_id(run_id)).signal(WAKE)
            except FailureError as error:
                workflow.logger.info("run %s was not woken: %s", run_id, error)
