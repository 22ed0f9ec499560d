"""The times of schedules, by the real Temporal server's own word, against a look at every minute."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from pydantic_core import PydanticCustomError
from temporalio import client as temporal

from gamekeeper.domain.language import cron
from gamekeeper.domain.language.clock_change import change_times
from gamekeeper.domain.run.schedule import ScheduleSpec
from gamekeeper.temporal.schedule_times import for_temporal, matching_times, says_the_same
from tests.gamekeeper.domain.language.cron_oracle import CronOracle

NOW = datetime(2026, 11, 29, tzinfo=UTC)
# Both sides of Greenwich; changes of two hours, half an hour, at a quarter to, at midnight, for Ramadan, and none.
ZONES = [
    *("Europe/Berlin", "Europe/Dublin", "America/New_York", "America/St_Johns", "Asia/Shanghai"),
    *("Australia/Lord_Howe", "America/Santiago", "America/Havana", "Asia/Beirut", "Africa/Cairo"),
    *("Africa/Casablanca", "Pacific/Chatham", "Antarctica/Troll"),
]
LINES = [
    *("30 2 * * *", "0 0 * * *", "*/20 2 * * *", "0 * * * *", "*/15 * * * *", "0 */2 * * *", "30 1 * * *"),
    *("0,30 0-4 * * *", "30 23 * * *", "0 12 * * SUN", "0 12 * * 0", "0 1 * * *", "45 2 * * *"),
]
AROUND = timedelta(hours=26)


def spec_of(line: str, zone: str) -> ScheduleSpec:
    return ScheduleSpec(cron=line, timezone=zone, overlap="skip", catch_up=60)


@asynccontextmanager
async def known(client: temporal.Client, spec: temporal.ScheduleSpec) -> AsyncIterator[str]:
    """A paused schedule of these times."""
    name = f"times-{uuid.uuid4().hex}"
    action = temporal.ScheduleActionStartWorkflow("Nothing", id=name, task_queue=name)
    state = temporal.ScheduleState(paused=True)
    handle = await client.create_schedule(name, temporal.Schedule(action=action, spec=spec, state=state))
    yield name
    await handle.delete()


def changes_of(zone: str) -> list[datetime]:
    """Some moments near changes, by a line that all of them matter to; for a zone without any, a day in spring."""
    found = change_times("* 0-23 * * *", zone, NOW).left_out
    days = sorted({datetime.combine(hours.day, datetime.min.time(), UTC) for hours in found if hours.day.year > 2026})
    return (days or [datetime(2027, 3, 28, tzinfo=UTC)])[:4]


async def check(client: temporal.Client, line: str, zone: str) -> None:
    oracle = CronOracle(line.replace("SUN", "0"), zone)
    async with known(client, for_temporal(spec_of(line, zone), NOW)) as name:
        for day in changes_of(zone):
            start, end = day - AROUND, day + AROUND
            told = [moment.replace(second=0) for moment in await matching_times(client, name, start, end)]
            assert told == oracle.times(start, end)[:1000], f'"{line}" {zone} around {day:%Y-%m-%d}'


@pytest.mark.parametrize("zone", ZONES)
async def test_around_changes_times_are_right(temporal_client: temporal.Client, zone: str) -> None:
    await asyncio.gather(*[check(temporal_client, line, zone) for line in LINES])


def _field(made: random.Random, low: int, high: int) -> str:
    first, last = sorted((made.randint(low, high), made.randint(low, high)))
    several = ",".join(str(made.randint(low, high)) for _ in range(3))
    step = made.randint(1, min(high, 20))
    return made.choice(["*", "*", f"*/{step}", f"{first}-{last}", f"{first}-{last}/{step}", f"{first}/{step}", several])


def _line(made: random.Random) -> str:
    night = made.choice(["0", "1", "2", "3", "23", "0-4", "1-2", "2,3", "22-23"])
    hour = made.choice([night, _field(made, 0, 23)])
    days = made.choice([("*", "*", "*"), (_field(made, 1, 31), _field(made, 1, 12), _field(made, 0, 7))])
    return " ".join([_field(made, 0, 59), hour, *days])


@pytest.mark.parametrize("seed", range(8))
async def test_any_line_has_the_times_that_it_says(temporal_client: temporal.Client, seed: int) -> None:
    made, checked = random.Random(seed), 0
    while checked < 5:
        line = _line(made)
        try:
            cron.check_cron(line)
        except PydanticCustomError:  # it never comes
            continue
        checked += 1
        await check(temporal_client, line, made.choice(ZONES))


async def test_the_next_times_are_those(temporal_client: temporal.Client) -> None:
    """The server tells them itself, with the days of changes among them."""
    async with known(temporal_client, for_temporal(spec_of("30 2 28 3 *", "Europe/Berlin"), NOW)) as name:
        described = await temporal_client.get_schedule_handle(name).describe()
    by_year = {moment.year: moment for moment in described.info.next_action_times}
    assert by_year[2027] == datetime(2027, 3, 28, 1, 0, 1, tzinfo=UTC)
    assert by_year[2028] == datetime(2028, 3, 28, 0, 30, tzinfo=UTC)


async def test_changes_that_come_into_sight_are_seen(temporal_client: temporal.Client) -> None:
    spec = spec_of("30 2 * * *", "Europe/Berlin")
    async with known(temporal_client, for_temporal(spec, NOW)) as name:
        stands = (await temporal_client.get_schedule_handle(name).describe()).schedule.spec
    assert says_the_same(stands, for_temporal(spec, NOW))
    assert not says_the_same(stands, for_temporal(spec, NOW.replace(year=2027)))
    assert not says_the_same(stands, temporal.ScheduleSpec(time_zone_name="Europe/Berlin"))
    hourly = for_temporal(spec_of("@hourly", "Europe/Berlin"), NOW)
    assert not says_the_same(temporal.ScheduleSpec(time_zone_name="Europe/Berlin"), hourly)
