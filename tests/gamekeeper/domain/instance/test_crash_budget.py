"""The time before a crashed process is started again, and when it is not any more."""

from __future__ import annotations

import pytest

from gamekeeper.domain.instance.crash_budget import Crashes, delay_of, left_of, span_of


def after(*times: float, window: float = 600.0) -> Crashes:
    crashes = Crashes()
    for at in times:
        crashes = crashes.and_one(at, window)
    return crashes


def test_delays_grow_from_none_to_five_minutes() -> None:
    assert [after(*range(count)).delay for count in range(1, 7)] == [0, 1, 2, 4, 8, 16]
    assert delay_of(1000) == 300


def test_old_crashes_leave_the_window_and_stay_counted() -> None:
    crashes = after(0, 1, 2, 700)
    assert (len(crashes.times), crashes.total) == (1, 4)
    assert not crashes.are_too_many(1)


def test_more_than_the_attempts_are_too_many() -> None:
    assert not after(0, 1).are_too_many(2)
    assert after(0, 1, 2).are_too_many(2)


@pytest.mark.parametrize("attempts", [1, 5, 10, 11, 20, 50, 500])
def test_any_number_of_attempts_comes_to_its_end(attempts: int) -> None:
    """A process that ends at once is a loop after just so many starts, the delays between them included."""
    crashes, now, count = Crashes(), 0.0, 0
    while not crashes.are_too_many(attempts):
        crashes, count = crashes.and_one(now, span_of(600, attempts)), count + 1
        now += crashes.delay + 0.2
        assert count <= attempts + 1
    assert count == attempts + 1


def test_seldom_crashes_are_no_loop() -> None:
    crashes = Crashes()
    for number in range(100):
        crashes = crashes.and_one(number * 130.0, span_of(600, 5))
    assert not crashes.are_too_many(5)
    assert span_of(600, 10**12) < 10**6


def test_a_clock_that_went_back_forgets_no_crash() -> None:
    crashes = after(5000, 5001, 5002, 3)
    assert crashes.times == [1, 2, 3, 3]


def test_a_delay_never_lasts_longer_than_itself() -> None:
    assert left_of(100, 10, 104) == 6
    assert left_of(100, 10, 1e9) == 0
    assert left_of(1e9, 10, 5) == 10
