"""The hours in which a zone's clocks are put forward or back, and the times of a cron line in them.

Temporal's calendars are wrong there: they skip the times that a change leaves out, and around a repeated hour they lose
times, double them or make up others, which of these by the side of Greenwich on which the zone lies. So these hours are
left out of its calendars, and the times in them are told to it one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from gamekeeper.domain.language import cron

# Temporal is told anew at each start of the api, and daily. The past is for backfills.
YEARS_BACK, YEARS_AHEAD = 5, 10
_HOUR, _DAY, _SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)


@dataclass(frozen=True)
class ClockChange:
    """``at`` is in UTC; ``before`` and ``after`` are the zone's offsets from it."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def is_gap(self) -> bool:
        return self.after > self.before

    def wall_hours(self) -> tuple[datetime, datetime]:
        """The whole hours on the wall's clock that the change leaves out or repeats; the end is no part of them."""
        walls = [(self.at + offset).replace(tzinfo=None) for offset in sorted((self.before, self.after))]
        first, last = (wall.replace(minute=0, second=0, microsecond=0) for wall in walls)
        return first, last if last == walls[1] else last + _HOUR

    def moments(self, wall: datetime, *, as_time: bool) -> list[datetime]:
        """The moments of a time on the wall's clock near the change. A time that comes twice counts the first time, and
        one that is left out is made up for at the change itself; for what goes on as time does, it counts both times
        and not at all."""
        early, late = ((wall - offset).replace(tzinfo=UTC) for offset in (self.before, self.after))
        shown = [*([early] if early < self.at else []), *([late] if late >= self.at else [])]
        return shown if as_time else shown[:1] or [self.at]


@dataclass(frozen=True)
class WallHours:
    """Whole hours of one day, both ends included."""

    day: date
    first: int
    last: int


@dataclass(frozen=True)
class ChangeTimes:
    """The hours that a line's calendar leaves out, and its times in them, in UTC."""

    left_out: list[WallHours] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)


def covered_since(now: datetime) -> datetime:
    """The earliest moment whose changes are known to Temporal."""
    return datetime(now.year - YEARS_BACK, 1, 1, tzinfo=UTC)


def is_same_in_utc(line: str, zone: str, now: datetime) -> bool:
    """True of a line that comes in every hour of every day: no change of whole hours makes a difference to it."""
    fields = cron.five_fields(line)
    offsets = [offset for change in _changes_around(zone, now) for offset in (change.before, change.after)]
    return fields[1:] == ["*"] * 4 and bool(offsets) and not any(offset % _HOUR for offset in offsets)


def change_times(line: str, zone: str, now: datetime) -> ChangeTimes:
    """Of all changes from some years ago to some years ahead that make a difference to the line."""
    found, goes_on = ChangeTimes(), cron.five_fields(line)[1].startswith("*")
    for change in _changes_around(zone, now):
        if (window := _window(line, change)) is None:
            continue
        found.left_out.extend(_by_day(*window))
        comes = takewhile(window[1].__gt__, cron.wall_times(line, window[0] - _SECOND))
        found.times.extend(sorted({moment for wall in comes for moment in change.moments(wall, as_time=goes_on)}))
    return found


def _window(line: str, change: ClockChange) -> tuple[datetime, datetime] | None:
    """The hours to tell one by one, on the wall's clock; None where the change makes no difference to the line.

    A repeated hour disturbs Temporal's times from the hour before to the hour after. A day that has no midnight has
    the weekday of the one before for it: a line that names weekdays is told the whole day.
    """
    first, last = change.wall_hours()
    if change.is_gap and _holds_midnight(first, last) and cron.five_fields(line)[4] != "*":
        return first, datetime.combine(last.date(), time()) + _DAY
    looked_from = first if change.is_gap else first - _HOUR
    comes = next(cron.wall_times(line, looked_from - _SECOND), None)
    return None if comes is None or comes >= last else (first, last + _HOUR)


def _holds_midnight(first: datetime, last: datetime) -> bool:
    return first.time() == time() or first.date() != (last - _SECOND).date()


def _by_day(first: datetime, last: datetime) -> Iterator[WallHours]:
    """Splits a span of whole hours at its midnights."""
    while first < last:
        midnight = datetime.combine(first.date(), time()) + _DAY
        end = min(last, midnight)
        yield WallHours(first.date(), first.hour, (end - _HOUR).hour)
        first = end


def _changes_around(zone: str, now: datetime) -> Sequence[ClockChange]:
    return _changes(zone, now.year - YEARS_BACK, now.year + YEARS_AHEAD)


@lru_cache(maxsize=64)
def _changes(zone: str, first_year: int, last_year: int) -> tuple[ClockChange, ...]:
    """Looks at each day, and then closer where its offset is another than the day before."""
    place, found = ZoneInfo(zone), []
    day, end = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC)
    while day < end:
        if _offset(place, day) != _offset(place, day + _DAY):
            found.append(_change_within(place, day, day + _DAY))
        day += _DAY
    return tuple(found)


def _change_within(place: ZoneInfo, early: datetime, late: datetime) -> ClockChange:
    before = _offset(place, early)
    while late - early > _SECOND:
        middle = early + (late - early) // 2 // _SECOND * _SECOND
        early, late = (middle, late) if _offset(place, middle) == before else (early, middle)
    return ClockChange(late, before, _offset(place, late))


def _offset(place: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(place).utcoffset() or timedelta()
