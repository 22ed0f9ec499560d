"""The times of a cron line by looking at every minute: the same rules as the product's, told in another way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)
_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class CronOracle:
    """Reads numbers, stars, ranges, lists and steps; no names."""

    def __init__(self, line: str, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        fields = line.split()
        self._minutes, self._hours, self._days, self._months, self._weekdays = [
            {number for part in text.split(",") for number in _numbers(part, *limits)}
            for text, limits in zip(fields, _LIMITS, strict=True)
        ]
        self._weekdays = {number or 7 for number in self._weekdays}
        self._goes_on = fields[1].startswith("*")
        self._needs_both = fields[2].startswith("*") or fields[4].startswith("*")

    def times(self, start: datetime, end: datetime) -> list[datetime]:
        """The times of a span in UTC, both ends included."""
        found, walls = [], _walls(self._zone, start, end)
        for before, wall in pairwise(walls):
            shown = self._matches(wall) and (self._goes_on or wall.fold == 0)
            made_up = not self._goes_on and any(map(self._matches, _left_out(before, wall)))
            if shown or made_up:
                found.append(wall.astimezone(UTC))
        return found

    def _matches(self, wall: datetime) -> bool:
        if not (wall.minute in self._minutes and wall.hour in self._hours and wall.month in self._months):
            return False
        is_day, is_weekday = wall.day in self._days, wall.isoweekday() in self._weekdays
        return (is_day and is_weekday) if self._needs_both else (is_day or is_weekday)


@lru_cache(maxsize=512)
def _walls(zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The wall's clock at each minute of a span, and at the one before it."""
    minutes = int((end - start) / _MINUTE)
    return [(start + _MINUTE * number).astimezone(zone) for number in range(-1, minutes + 1)]


def _numbers(part: str, low: int, high: int) -> range:
    span, _, step = part.partition("/")
    first, _, last = ("" if span == "*" else span).partition("-")
    end = last or (first if first and not step else str(high))
    return range(int(first or low), int(end) + 1, int(step or 1))


def _left_out(before: datetime, wall: datetime) -> Iterator[datetime]:
    """The minutes that the wall's clock leaves out between two that follow each other."""
    missing = before.replace(tzinfo=None) + _MINUTE
    while missing < wall.replace(tzinfo=None):
        yield missing
        missing += _MINUTE
