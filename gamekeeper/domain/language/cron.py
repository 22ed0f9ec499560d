"""Cron lines as people know them, checked field by field, and handed to Temporal so that they mean the same there.

Five fields or one of the ``@`` words. Temporal reads more (seconds, years, ``@every``), which would let a schedule
start thousands of runs an hour by a slip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from gamekeeper.domain.language.problem import did_you_mean
from gamekeeper.domain.language.values import wrong

WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
Overlap = Literal["skip", "queue", "allow", "cancel_old"]
MAX_LENGTH = 500
_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = {name: index for index, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}
_DAYS = {name: index for index, name in enumerate("SUN MON TUE WED THU FRI SAT".split())}
_NAMES: tuple[dict[str, int], ...] = ({}, {}, {}, _MONTHS, _DAYS)
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
_ONE_NUMBER = re.compile(r"\b(\w+)-\1/\d+")
_ANY_MOMENT = datetime(2024, 1, 1)
_FAMILIAR = ("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Tokyo")


def check_cron(text: str) -> str:
    """The line itself. Raises pydantic's custom error that names the field and its limits."""
    if text in WORDS:
        return text
    fields = _fields(text)
    for index, field in enumerate(fields):
        for part in field.split(","):
            _check_part(index, field, part)
    try:
        comes = next(wall_times(text, _ANY_MOMENT), None)
    except CronSimError:
        comes = None
    if comes is None:
        raise wrong("cron", f'"{text}" never comes')
    return text


def _fields(text: str) -> list[str]:
    if len(text) > MAX_LENGTH:
        raise wrong("cron", f"has {len(text)} characters; the limit is {MAX_LENGTH}")
    if text.startswith("@"):
        raise wrong("cron", f'"{text}" is not known; use five fields, or one of {", ".join(sorted(WORDS))}')
    fields = text.split()
    if len(fields) != len(_LIMITS):
        count = f"{len(fields)} field{'s' * (len(fields) != 1)}"
        raise wrong("cron", f'"{text}" has {count}; write minute, hour, day, month and weekday, as in "0 5 * * *"')
    return fields


def _check_part(index: int, field: str, part: str) -> None:
    low, high = _LIMITS[index]
    match = _PART.fullmatch(part)
    if match is None:
        raise wrong("cron", f'field {index + 1} "{field}" is not a list of numbers, ranges and steps such as */15')
    numbers = [_number(index, field, text) for text in match.group("first", "last") if text is not None]
    if numbers != sorted(numbers):
        raise wrong("cron", f'field {index + 1} "{field}" has a range that ends before it begins')
    if match.group("step") is not None and not 1 <= int(match.group("step")) <= high:
        raise wrong("cron", f'field {index + 1} "{field}" has a step outside 1-{high}')
    if any(not low <= number <= high for number in numbers):
        raise wrong("cron", f'field {index + 1} "{field}" is outside {low}-{high}')


def _number(index: int, field: str, text: str) -> int:
    number = int(text) if text.isdecimal() else _NAMES[index].get(text.upper())
    if number is None:
        low, high = _LIMITS[index]
        raise wrong("cron", f'field {index + 1} "{field}" has "{text}", which is no number from {low} to {high}')
    return number


def check_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = did_you_mean(text, _FAMILIAR)
        hint = close if close.startswith("did") else "use an IANA name such as Europe/Berlin"
        raise wrong("timezone", f'"{text}" is not a time zone; {hint}') from None
    return text


def wall_times(line: str, after: datetime) -> Iterator[datetime]:
    """The times of a cron line on a clock that nobody ever changes, soonest first and no more than fifty years ahead;
    ``after`` has no zone. Cronsim takes ``2-2/4`` for ``2/4``, where Temporal takes it for ``2``."""
    return iter(CronSim(" ".join(_ONE_NUMBER.sub(r"\1", field) for field in five_fields(line)), after))


def five_fields(line: str) -> list[str]:
    """Minute, hour, day, month and weekday; those of a word, too."""
    return WORDS.get(line, line).split()


def for_temporal(line: str) -> list[str]:
    """A line for Temporal that names both a day and a weekday means those days that are both. Cron's users mean either,
    which two lines say."""
    fields = line.split()
    if len(fields) != len(_LIMITS) or fields[2].startswith("*") or fields[4].startswith("*"):
        return [line]
    return [" ".join([*fields[:4], "*"]), " ".join([*fields[:2], "*", *fields[3:]])]
