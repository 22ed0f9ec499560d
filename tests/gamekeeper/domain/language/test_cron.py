"""Cron lines: what they mean, and what Temporal is told so that it means the same."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest
from pydantic_core import PydanticCustomError

from gamekeeper.domain.language import cron

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    ["0 5 * * *", "*/15 * * * *", "0-30/10 8-18 1,15 jan-jun MON-FRI", "0 0 29 2 *", "0 0 * * 7", "@daily", "@hourly"],
)
def test_what_people_write(line: str) -> None:
    assert cron.check_cron(line) == line
    assert next(cron.times(line, "UTC", NEW_YEAR)) > NEW_YEAR


@pytest.mark.parametrize("line", ["", "* * * *", "@reboot", "1.5 * * * *", "* * L * *", "* * * * MON#1", "-1 * * * *"])
def test_what_temporal_or_nobody_knows_is_refused(line: str) -> None:
    with pytest.raises(PydanticCustomError):
        cron.check_cron(line)


def test_a_day_and_a_weekday_become_two_lines() -> None:
    assert cron.for_temporal("0 12 13 * FRI") == ["0 12 13 * *", "0 12 * * FRI"]
    assert cron.for_temporal("0 12 * * FRI") == ["0 12 * * FRI"]
    assert cron.for_temporal("0 12 */2 * FRI") == ["0 12 */2 * FRI"]  # as cron has it: a star is no choice of days
    assert cron.for_temporal("@weekly") == ["@weekly"]


def test_times_are_of_the_zone() -> None:
    """On 29 March 2026 the clocks of Berlin skip the hour after two."""
    days = [moment.astimezone(UTC) for moment in islice(cron.times("0 5 * * *", "Europe/Berlin", NEW_YEAR), 120)]
    assert {moment.hour for moment in days[:80]} == {4}
    assert days[-1].hour == 3
