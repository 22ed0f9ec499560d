"""Brings the schedules of instances and Temporal together again after anything died between the two, and tells of the
times that were missed.

The rows are right. One is told that was not taken; each has its turn to be looked at; and what Temporal has without a
row is removed. So a change of clocks that comes into sight, a Temporal that was set up anew, and somebody's hand in its
web page are all mended here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from api.services.instance.schedule import InstanceScheduleService
from gamekeeper.control_plane.instance.schedule import tell, terms_of
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceScheduleRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.instance_schedule import InstanceScheduleRepository
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.missed import as_data, first_unsure, in_words, missed, without_told
from gamekeeper.domain.instance.schedule import FiringOutcome
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.instance_schedules import InstanceScheduleCalls

SETTLE = timedelta(seconds=5)
ROW_SECONDS = 30.0
LOOKS = 5  # schedules that are looked at in each round
STRAYS_SECONDS = 3600.0
MISSED_BECAUSE = "while Temporal was away for longer than catch_up, or while the one before went on"


class InstanceScheduleReconciler:
    def __init__(
        self,
        database: Database,
        calls: InstanceScheduleCalls,
        schedules: InstanceScheduleService,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._calls = calls
        self._schedules = schedules
        self._clock = clock
        self._looked_at = ("", "")
        self._strays_at = -STRAYS_SECONDS
        self.care = Supervised("instance_schedule_reconciler")

    async def reconcile(self) -> None:
        async with self._database.read() as session:
            schedules = InstanceScheduleRepository(session)
            untold = await schedules.untold(utc_now() - SETTLE)
            looked = await schedules.after(*self._looked_at, LOOKS)
        for row in untold:
            with self.care.row(_name(row)):
                async with asyncio.timeout(ROW_SECONDS):
                    await self._schedules.tell_temporal(row)
        for row in looked:
            with self.care.row(_name(row)):
                async with asyncio.timeout(ROW_SECONDS):
                    await self._look(row)
        self._looked_at = (looked[-1].instance_id, looked[-1].name) if len(looked) == LOOKS else ("", "")
        if self._clock() - self._strays_at >= STRAYS_SECONDS:
            await self._remove_strays()
            self._strays_at = self._clock()

    async def _look(self, row: InstanceScheduleRow) -> None:
        standing = await self._calls.look(row.instance_id, row.name)
        if standing is None or not standing.is_as(terms_of(row), paused=row.paused):
            await self._schedules.tell_temporal(row)
        count = standing.missed if standing is not None else 0
        if count != row.missed:
            await self._note_missed(row, count)

    async def _note_missed(self, seen: InstanceScheduleRow, count: int) -> None:
        """Temporal counts a time twice now and then (server 1.32 after an outage), so its number is a sign and no more.
        A schedule that was made anew there counts from 0 again. Times that came are left out of what is told, a late
        one after an outage too."""
        now = utc_now()
        begin = max(seen.told_until or seen.created_at, seen.updated_at)
        times = await self._calls.times(seen.instance_id, seen.name, first_unsure(seen.came, begin, now), now)
        async with self._database.write() as session:
            row = await InstanceRepository(session).get_locked(seen.instance_id)
            schedule = await InstanceScheduleRepository(session).find(seen.instance_id, seen.name)
            if schedule is None:
                return
            passed, more = missed(times, schedule.came), count - schedule.missed
            schedule.missed, schedule.told_until, schedule.came = count, now, without_told(schedule.came, now)
            if more > 0:
                words, reason = f"{in_words(passed)} passed {MISSED_BECAUSE}", FiringOutcome.MISSED.value
                kind, data = EventKind.INSTANCE_SCHEDULE_MISSED, as_data(passed)
                tell(session, row, schedule, kind, words, reason=reason, more=data)

    async def _remove_strays(self) -> None:
        """Schedules in Temporal of which no row knows: a database was restored."""
        listed = await self._calls.all()
        async with self._database.read() as session:
            known = await InstanceScheduleRepository(session).names()
        for instance, name in sorted(listed - known):
            with self.care.row(f"schedule {name} of instance {instance}"):
                async with asyncio.timeout(ROW_SECONDS):
                    await self._calls.remove(instance, name)


def _name(row: InstanceScheduleRow) -> str:
    return f"schedule {row.name} of instance {row.instance_id}"
