"""The times of a schedule, as Temporal is told them and as it tells them: what it would do is asked of it alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio import client as temporal
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest

from gamekeeper.domain.language import cron
from gamekeeper.domain.language.clock_change import WallHours, change_times, is_same_in_utc
from gamekeeper.domain.run.schedule import ScheduleSpec
from gamekeeper.temporal.goaway import past_goaway

# Temporal takes a single moment only as one of an endless row. The neighbours of this one are a generation away.
_A_GENERATION = timedelta(days=30 * 365)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Calendars come at second 0, which is what is left out of them. So the moments that are told one by one stay.
_BESIDE = timedelta(seconds=1)


def for_temporal(spec: ScheduleSpec, now: datetime) -> temporal.ScheduleSpec:
    """Calendars, and around the changes of a zone's clocks moments (docs/decisions/0013)."""
    lines = cron.for_temporal(spec.cron)
    if is_same_in_utc(spec.cron, spec.timezone, now):
        return temporal.ScheduleSpec(cron_expressions=lines, time_zone_name="UTC")
    found = change_times(spec.cron, spec.timezone, now)
    return temporal.ScheduleSpec(
        cron_expressions=lines,
        time_zone_name=spec.timezone,
        skip=[_calendar(hours) for hours in found.left_out],
        intervals=[_only_at(moment + _BESIDE) for moment in found.times],
    )


def _only_at(moment: datetime) -> temporal.ScheduleIntervalSpec:
    return temporal.ScheduleIntervalSpec(every=_A_GENERATION, offset=(moment - _EPOCH) % _A_GENERATION)


def _calendar(hours: WallHours) -> temporal.ScheduleCalendarSpec:
    one = temporal.ScheduleRange
    return temporal.ScheduleCalendarSpec(
        year=[one(hours.day.year)],
        month=[one(hours.day.month)],
        day_of_month=[one(hours.day.day)],
        hour=[one(hours.first, hours.last)],
        minute=[one(0, 59)],
    )


def says_the_same(known: temporal.ScheduleSpec, wanted: temporal.ScheduleSpec) -> bool:
    """True when the moments that Temporal knows are those that it should; of the same line and zone, all else is."""
    moments = [{interval.offset for interval in spec.intervals} for spec in (known, wanted)]
    return moments[0] == moments[1] and known.time_zone_name == wanted.time_zone_name


async def matching_times(client: temporal.Client, name: str, start: datetime, end: datetime) -> list[datetime]:
    """Temporal's word on the times of a schedule, both ends included, as a backfill has it: at most a thousand."""
    asked = ListScheduleMatchingTimesRequest(namespace=client.namespace, schedule_id=name)
    asked.start_time.FromDatetime(start - timedelta(milliseconds=1))
    asked.end_time.FromDatetime(end)
    answer = await past_goaway(lambda: client.workflow_service.list_schedule_matching_times(asked))
    return [moment.ToDatetime(tzinfo=UTC) for moment in answer.start_time]
