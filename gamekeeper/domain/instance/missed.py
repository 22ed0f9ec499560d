"""The times of an instance's schedule that passed without a firing.

Temporal counts them and does not name them. So they are found as its cron line's times without those that came, which
the row of the schedule remembers until the missed ones are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

REMEMBERED = 100  # firings of a schedule
NAMED_WITHIN = timedelta(days=7)
SHOWN, LISTED = 5, 20  # of the missed times: in the message of an event, and in its data


def stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def with_firing(came: Sequence[str], at: datetime) -> list[str]:
    """The times that came, in their order, with one more; the oldest ones are forgotten."""
    return sorted({*came, stamp(at)})[-REMEMBERED:]


def without_told(came: Iterable[str], until: datetime) -> list[str]:
    """The times that came behind ``until``, up to which all that were missed are told."""
    return [time for time in came if time > stamp(until)]


def first_unsure(came: Sequence[str], begin: datetime, now: datetime) -> datetime:
    """The moment behind which a time of the schedule that did not come was missed; before it some are forgotten."""
    known = datetime.fromisoformat(came[0]) if len(came) >= REMEMBERED else begin
    return max(begin, known, now - NAMED_WITHIN)


def missed(times: Iterable[datetime], came: Iterable[str]) -> list[datetime]:
    known = frozenset(came)
    return [moment for moment in times if stamp(moment) not in known]


def in_words(found: Sequence[datetime]) -> str:
    """The newest times, and how many more there are."""
    told = ", ".join(map(stamp, found[-SHOWN:]))
    more = f" and {len(found) - SHOWN} before" if len(found) > SHOWN else ""
    return f"{told}{more}" if told else "times"


def as_data(found: Sequence[datetime]) -> dict[str, object]:
    return {"missed": len(found), "missed_at": [stamp(moment) for moment in found[-LISTED:]]}
