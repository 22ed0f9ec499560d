"""Decides on the firings of instances' schedules, and notes their ends."""

from __future__ import annotations

from temporalio import activity

from activities.control_plane.refusals import refusals_are_final
from gamekeeper.domain.instance.control import REFUSED
from gamekeeper.domain.instance.schedule import Fired, Firing, FiringEnd
from gamekeeper.ports.instance_schedules import InstanceSchedules


class InstanceScheduleActivities:
    def __init__(self, schedules: InstanceSchedules) -> None:
        self._schedules = schedules

    @activity.defn(name="instance_schedules.begin")
    async def begin(self, firing: Firing) -> Fired:
        with refusals_are_final(REFUSED):
            return await self._schedules.begin(firing)

    @activity.defn(name="instance_schedules.end")
    async def end(self, ended: FiringEnd) -> None:
        with refusals_are_final(REFUSED):
            await self._schedules.end(ended)
