"""Cron lines: what they mean, and what Temporal is told so that it means the same."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pydantic_core import PydanticCustomError

from gamekeeper.domain.language import cron

NEW_YEAR = datetime(2026, 1, 1)


@pytest.mark.parametrize(
    "line",
    [
        "0 5 * * *",
        "*/15 * * * *",
        "0-30/10 8-18 1,15 jan-jun MON-FRI",
        "0 0 29 2 *",
        "0 0 * * 7",
        "59 23 31 12 *",
        "*/1 * * * *",
        "0 0 1 JAN-DEC SUN-SAT",
        "0-0/59 * * * *",
        *cron.WORDS,
    ],
)
def test_what_people_write(line: str) -> None:
    assert cron.check_cron(line) == line
    assert next(cron.wall_times(line, NEW_YEAR)) > NEW_YEAR


@pytest.mark.parametrize(
    "line",
    [
        "",
        "* * * *",
        "@reboot",
        "1.5 * * * *",
        "* * L * *",
        "* * * * MON#1",
        "-1 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "*/60 * * * *",
    ],
)
def test_what_temporal_or_nobody_knows_is_refused(line: str) -> None:
    with pytest.raises(PydanticCustomError):
        cron.check_cron(line)


def test_a_day_and_a_weekday_become_two_lines() -> None:
    assert cron.for_temporal("0 12 13 * FRI") == ["0 12 13 * *", "0 12 * * FRI"]
    assert cron.for_temporal("0 12 * * FRI") == ["0 12 * * FRI"]
    assert cron.for_temporal("0 12 */2 * FRI") == ["0 12 */2 * FRI"]  # as cron has it: a star is no choice of days
    assert cron.for_temporal("0 12 13 * *") == ["0 12 13 * *"]
    assert cron.for_temporal("@weekly") == ["@weekly"]


def test_a_range_of_one_number_is_that_number() -> None:
    """As Temporal reads it."""
    times = cron.wall_times("0 0 2-2/4 * *", NEW_YEAR)
    assert [next(times), next(times)] == [datetime(2026, 1, 2), datetime(2026, 2, 2)]


@pytest.mark.parametrize(("word", "hours"), [("@hourly", 1), ("@daily", 24), ("@midnight", 24), ("@weekly", 72)])
def test_a_word_comes_as_often_as_it_says(word: str, hours: int) -> None:
    """1 January 2026 is a Thursday."""
    assert next(cron.wall_times(word, NEW_YEAR)) == NEW_YEAR + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("word", "after"), [("@monthly", (2026, 2, 1)), ("@yearly", (2027, 1, 1)), ("@annually", (2027, 1, 1))]
)
def test_a_word_of_the_calendar_comes_on_its_first_day(word: str, after: tuple[int, int, int]) -> None:
    assert next(cron.wall_times(word, NEW_YEAR)) == datetime(*after)


@pytest.mark.parametrize(
    ("zone", "hint"),
    [("Europe/Berln", 'did you mean "Europe/Berlin"'), ("Mars", "use an IANA name"), ("", "use an IANA")],
)
def test_a_zone_that_is_not_there(zone: str, hint: str) -> None:
    with pytest.raises(PydanticCustomError, match=hint):
        cron.check_zone(zone)
    assert cron.check_zone("Asia/Tokyo") == "Asia/Tokyo"
