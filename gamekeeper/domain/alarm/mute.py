"""Silences and maintenance windows: what is muted, by which of them, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.alarm.selection import covers
from gamekeeper.domain.language.cron import wall_times

MAX_SILENCE = timedelta(days=90)  # each ends by itself
MAX_WINDOW = timedelta(days=7)
MAX_SILENCES = 1000
MAX_WINDOWS = 500


@dataclass(frozen=True)
class Mute:
    """``name`` is told to those who look at a muted alarm. No ``rules`` means all of them."""

    name: str
    selector: Selector
    rules: frozenset[str] = frozenset()
    until: datetime | None = None

    def mutes(self, rule: str, targets: Iterable[Target]) -> bool:
        return (not self.rules or rule in self.rules) and covers(self.selector, targets)


def window_until(cron: str, timezone: str, duration: timedelta, now: datetime) -> datetime | None:
    """The end of the time of a recurring window that goes on now; None where none does. Over a change of the clocks it
    lasts as long as the clock on the wall says."""
    zone = ZoneInfo(timezone)
    wall = now.astimezone(zone).replace(tzinfo=None)
    begin = next(wall_times(cron, wall - duration), None)
    if begin is None or begin > wall:
        return None
    latest = begin
    for moment in wall_times(cron, begin):
        if moment > wall:
            break
        latest = moment
    return (latest + duration).replace(tzinfo=zone)
