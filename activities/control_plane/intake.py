"""Accepts the runs that workflows ask for, and gives them their turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import activity

from activities.control_plane.refusals import refusals_are_final
from gamekeeper.domain.run.run import AcceptedRun, GroupPlace, GroupRequest, RunById, RunCall, RunInput
from gamekeeper.domain.run.schedule import ScheduledRun
from gamekeeper.ports.run_intake import RunIntake

REFUSED = "RunRefused"


class IntakeActivities:
    def __init__(self, intake: RunIntake, is_indexed: Callable[[], Awaitable[bool]]) -> None:
        """``is_indexed`` tells whether runs may be started with search attributes."""
        self._intake = intake
        self._is_indexed = is_indexed

    @activity.defn(name="run.accept_call")
    async def accept_call(self, call: RunCall) -> AcceptedRun:
        with refusals_are_final(REFUSED):
            return await self._told(await self._intake.accept_call(call))

    @activity.defn(name="run.accept_scheduled")
    async def accept_scheduled(self, scheduled: ScheduledRun) -> AcceptedRun:
        with refusals_are_final(REFUSED):
            return await self._told(await self._intake.accept_scheduled(scheduled))

    async def _told(self, accepted: AcceptedRun) -> AcceptedRun:
        run = accepted.run.model_copy(update={"is_indexed": await self._is_indexed()})
        return accepted.model_copy(update={"run": run})

    @activity.defn(name="run.load")
    async def load(self, asked: RunById) -> RunInput:
        with refusals_are_final(REFUSED):
            return await self._intake.load(asked)

    @activity.defn(name="run.enter_group")
    async def enter_group(self, request: GroupRequest) -> GroupPlace:
        return await self._intake.enter_group(request)

    @activity.defn(name="run.next_in_line")
    async def next_in_line(self, request: GroupRequest) -> list[str]:
        return await self._intake.next_in_line(request)
