"""The hours around the changes of clocks, and the times of cron lines in them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from gamekeeper.domain.language.clock_change import (
    WallHours,
    change_times,
    covered_since,
    is_same_in_utc,
)

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def times_of(line: str, zone: str, day: str) -> list[str]:
    """The times that are told one by one, from the day before to the day after, in UTC."""
    noon = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)
    found = change_times(line, zone, NOW).times
    return [f"{moment:%d %H:%M}" for moment in found if abs(moment - noon) < timedelta(hours=30)]


@pytest.mark.parametrize(
    ("line", "zone", "day", "times"),
    [
        # Left out: at the change, once. A time in UTC is told.
        ("30 2 * * *", "Europe/Berlin", "2027-03-28", ["28 01:00"]),
        ("*/20 2 * * *", "Europe/Berlin", "2027-03-28", ["28 01:00"]),
        ("0,30 2-3 * * *", "Europe/Berlin", "2027-03-28", ["28 01:00", "28 01:30"]),
        ("30 2 28 3 *", "Europe/Berlin", "2027-03-28", ["28 01:00"]),
        ("30 2 * * *", "America/New_York", "2027-03-14", ["14 07:00"]),
        ("@daily", "America/Santiago", "2027-09-05", ["05 04:00"]),
        ("0 0 28 3 *", "Asia/Beirut", "2027-03-28", ["27 22:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2027-10-03", ["02 15:30"]),
        ("0 1-2 * * *", "Antarctica/Troll", "2027-03-28", ["28 01:00"]),
        # Repeated: the first time.
        ("30 2 * * *", "Europe/Berlin", "2027-10-31", ["31 00:30"]),
        ("30 1 * * *", "America/New_York", "2027-11-07", ["07 05:30"]),
        ("30 23 * * *", "America/Santiago", "2027-04-03", ["04 02:30"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2027-04-04", ["03 14:45"]),
        # A star in the hours: as time goes on.
        ("30 */2 * * *", "Europe/Berlin", "2027-03-28", []),
        ("30 */2 * * *", "Europe/Berlin", "2027-10-31", ["31 00:30", "31 01:30"]),
        ("45 * * * *", "Australia/Lord_Howe", "2027-04-04", ["03 14:45", "03 15:15", "03 16:15"]),
        # A change makes no difference to these.
        ("0 5 * * *", "Europe/Berlin", "2027-03-28", []),
        ("0 3 * * *", "Europe/Berlin", "2027-10-31", []),
        ("30 2 * * MON-FRI", "Europe/Berlin", "2027-03-28", []),
        ("30 2 * * *", "Asia/Shanghai", "2027-03-28", []),
        ("30 2 * * *", "UTC", "2027-03-28", []),
    ],
)
def test_the_day_of_a_change(line: str, zone: str, day: str, times: list[str]) -> None:
    assert times_of(line, zone, day) == times


def test_what_a_calendar_leaves_out() -> None:
    hours = change_times("30 2 * * *", "Europe/Berlin", NOW).left_out
    assert WallHours(date(2027, 3, 28), 2, 3) in hours
    assert WallHours(date(2027, 10, 31), 2, 3) in hours
    assert len(hours) == 2 * 16  # of five years back, this one, and ten ahead
    night = change_times("30 23 * * *", "America/Santiago", NOW).left_out
    assert {WallHours(date(2027, 4, 3), 23, 23), WallHours(date(2027, 4, 4), 0, 0)} <= set(night)


def test_a_day_without_a_midnight_is_told_as_a_whole_to_lines_with_weekdays() -> None:
    hours = change_times("0 12 * * SUN", "America/Santiago", NOW).left_out
    assert WallHours(date(2027, 9, 5), 0, 23) in hours
    assert times_of("0 12 * * SUN", "America/Santiago", "2027-09-05") == ["05 15:00"]
    assert times_of("0 12 * * SAT", "America/Santiago", "2027-09-05") == []


def test_lines_of_every_hour_need_no_zone() -> None:
    assert is_same_in_utc("*/15 * * * *", "Europe/Berlin", NOW)
    assert is_same_in_utc("@hourly", "America/New_York", NOW)
    assert not is_same_in_utc("0 * * * MON", "Europe/Berlin", NOW)
    assert not is_same_in_utc("0 * * * *", "Australia/Lord_Howe", NOW)
    assert not is_same_in_utc("0 * * * *", "Asia/Kolkata", NOW)  # no changes, so its own calendar is right


def test_how_far_it_looks() -> None:
    assert covered_since(NOW) == datetime(2021, 1, 1, tzinfo=UTC)
    found = change_times("30 2 * * *", "Europe/Berlin", NOW).times
    assert (found[0].year, found[-1].year) == (2021, 2036)
