"""Schedules of instances: setting, reading and removing them. The rows are what counts, and Temporal is told of them.

A row that Temporal has not taken is told again: a schedule that was answered with 200 comes, whatever dies in between.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gamekeeper.actor import current_actor
from gamekeeper.control_plane.instance.schedule import changed, set_schedule, tell, terms_of
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceScheduleRow
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.instance_schedule import InstanceScheduleRepository
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.schedule import ScheduleTimes
from gamekeeper.errors import UnavailableError
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.instance_schedules import InstanceScheduleCalls


@dataclass(frozen=True)
class SeenSchedule:
    """A schedule for somebody to look at, with Temporal's own word on its next times."""

    row: InstanceScheduleRow
    next_at: Sequence[datetime] = ()


class InstanceScheduleService:
    """Every method raises NotFoundError for an instance or a schedule that is not there."""

    def __init__(self, database: Database, calls: InstanceScheduleCalls) -> None:
        self._database = database
        self._calls = calls
        self.care = Supervised("instance_schedules")

    async def list_all(self, instance_id: str) -> list[SeenSchedule]:
        """Raises UnavailableError while Temporal is away."""
        async with self._database.read() as session:
            await InstanceRepository(session).get(instance_id)
            rows = await InstanceScheduleRepository(session).of(instance_id)
        return list(await asyncio.gather(*[self._seen(row) for row in rows]))

    async def get(self, instance_id: str, name: str) -> SeenSchedule:
        """Raises UnavailableError while Temporal is away."""
        async with self._database.read() as session:
            await InstanceRepository(session).get(instance_id)
            row = await InstanceScheduleRepository(session).get(instance_id, name)
        return await self._seen(row)

    async def _seen(self, row: InstanceScheduleRow) -> SeenSchedule:
        if row.paused:
            return SeenSchedule(row)
        standing = await self._calls.look(row.instance_id, row.name)
        return SeenSchedule(row, standing.next_at if standing is not None else ())

    async def put(self, instance_id: str, name: str, wanted: ScheduleTimes) -> tuple[SeenSchedule, bool]:
        """Sets the schedule; True for a new one. Raises ConflictError for one too many."""
        async with self._database.write() as session:
            row = await InstanceRepository(session).get_locked(instance_id)
            is_new = await set_schedule(session, row, name, wanted, current_actor())
        await self.tell_all(instance_id)
        return await self._written(instance_id, name), is_new

    async def remove(self, instance_id: str, name: str) -> None:
        async with self._database.write() as session:
            row = await InstanceRepository(session).get_locked(instance_id)
            schedule = await InstanceScheduleRepository(session).get(instance_id, name)
            schedule.is_removed = True
            changed(schedule)
            tell(session, row, schedule, EventKind.INSTANCE_SCHEDULE_REMOVED)
        await self.tell_all(instance_id)

    async def set_paused(self, instance_id: str, name: str, paused: bool, note: str) -> SeenSchedule:
        async with self._database.write() as session:
            row = await InstanceRepository(session).get_locked(instance_id)
            schedule = await InstanceScheduleRepository(session).get(instance_id, name)
            if (schedule.paused, schedule.note) != (paused, note):
                schedule.paused, schedule.note = paused, storable(note)
                changed(schedule)
                kind = EventKind.INSTANCE_SCHEDULE_PAUSED if paused else EventKind.INSTANCE_SCHEDULE_RESUMED
                tell(session, row, schedule, kind, note)
        await self.tell_all(instance_id)
        return await self._written(instance_id, name)

    async def trigger(self, instance_id: str, name: str, key: str | None) -> SeenSchedule:
        """Has it do its work now, whether it is paused or not; it waits some seconds for the outcome. Raises
        UnavailableError, and ConflictError where that can't be looked at."""
        async with self._database.write() as session:
            row = await InstanceRepository(session).get_locked(instance_id)
            schedule = await InstanceScheduleRepository(session).get(instance_id, name)
            tell(session, row, schedule, EventKind.INSTANCE_SCHEDULE_TRIGGERED)
        await self._calls.run_now(terms_of(schedule, by_hand=True), key or uuid.uuid4().hex)
        return await self._written(instance_id, name)

    async def _written(self, instance_id: str, name: str) -> SeenSchedule:
        """The schedule after a change, which stands although Temporal is away."""
        async with self._database.read() as session:
            row = await InstanceScheduleRepository(session).get(instance_id, name)
        try:
            return await self._seen(row)
        except UnavailableError:
            return SeenSchedule(row)

    async def prove_all(self) -> None:
        """Has the terms of all schedules given to Temporal once more, by the client as it is now. Idempotent."""
        async with self._database.write() as session:
            await InstanceScheduleRepository(session).tell_all_again()

    async def write_anew(self) -> None:
        """Gives all schedules to Temporal again, which then has them as the client of now writes them. Idempotent."""
        await self.prove_all()
        while True:
            async with self._database.read() as session:
                rows = await InstanceScheduleRepository(session).untold(utc_now() + timedelta(minutes=1))
            if not rows:
                return
            for row in rows:
                await self.tell_temporal(row)

    async def tell_all(self, instance_id: str) -> None:
        """Tells Temporal what has changed of an instance's schedules. What it does not take now is told again."""
        async with self._database.read() as session:
            rows = await InstanceScheduleRepository(session).of_whatever(instance_id)
        try:
            for row in rows:
                if not row.is_told:
                    await self.tell_temporal(row)
        except UnavailableError as error:
            self.care.failed(error)
        else:
            self.care.succeeded()

    async def tell_temporal(self, row: InstanceScheduleRow) -> None:
        """Makes Temporal's schedule what the row says. Raises UnavailableError."""
        if row.is_removed:
            await self._calls.remove(row.instance_id, row.name)
        else:
            await self._calls.put(terms_of(row), paused=row.paused)
        async with self._database.write() as session:
            schedules = InstanceScheduleRepository(session)
            now = await schedules.find_whatever(row.instance_id, row.name)
            if now is not None and now.version == row.version:  # else it was changed meanwhile, and is told once more
                if now.is_removed:
                    await schedules.forget(now)
                now.is_told = True
        if now is None:
            await self._calls.remove(row.instance_id, row.name)
