"""The missed times of a schedule are named: its times without those that came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gamekeeper.domain.instance.missed import (
    LISTED,
    NAMED_WITHIN,
    REMEMBERED,
    as_data,
    first_unsure,
    in_words,
    missed,
    stamp,
    with_firing,
    without_told,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = [NOW + timedelta(hours=number) for number in range(30)]


def test_a_late_firing_hides_none_of_the_times_before_it() -> None:
    came: list[str] = []
    for moment in (HOURS[0], HOURS[4]):  # Temporal was away for three hours, and made up for the last time alone
        came = with_firing(came, moment)
    assert missed(HOURS[:5], came) == HOURS[1:4]
    assert in_words(HOURS[1:4]) == ", ".join(map(stamp, HOURS[1:4]))


def test_times_that_are_told_need_no_memory() -> None:
    came = [stamp(moment) for moment in HOURS]
    assert without_told(came, HOURS[27]) == came[28:]
    assert with_firing(came, HOURS[3]) == came, "the same firing twice is once"


def test_nothing_is_called_missed_before_the_firings_that_are_remembered() -> None:
    minutes = [NOW - timedelta(minutes=number) for number in range(2 * REMEMBERED)]
    came: list[str] = []
    for moment in reversed(minutes):
        came = with_firing(came, moment)
    assert len(came) == REMEMBERED
    assert first_unsure(came, minutes[-1], NOW) == minutes[REMEMBERED - 1]
    assert first_unsure(came[-1:], minutes[-1], NOW) == minutes[-1]
    assert first_unsure([], NOW - timedelta(days=90), NOW) == NOW - NAMED_WITHIN


def test_the_list_is_bounded_and_the_count_is_whole() -> None:
    assert in_words(HOURS) == ", ".join(map(stamp, HOURS[-5:])) + " and 25 before"
    assert as_data(HOURS) == {"missed": 30, "missed_at": [stamp(moment) for moment in HOURS[-LISTED:]]}
    assert in_words([]) == "times"
