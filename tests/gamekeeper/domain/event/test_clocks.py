"""The hybrid logical clock and the estimate of a clock's offset."""

from __future__ import annotations

import time

import pytest

from gamekeeper.domain.event.hlc import COUNTER_BITS, MAX_AHEAD_MS, HybridClock
from gamekeeper.domain.node.clock_offset import KEPT, ClockOffset

HOUR_NS = 3_600_000_000_000


def test_stamps_grow_although_the_clock_stands_still_or_goes_back() -> None:
    times = iter([1000, 1000, 900, 1001])
    clock = HybridClock(lambda: next(times))
    stamps = [clock.tick() for _ in range(4)]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] >> COUNTER_BITS == 1001


def test_an_effect_is_later_than_its_cause_on_a_machine_that_is_ahead() -> None:
    here, there = HybridClock(lambda: 1000), HybridClock(lambda: 4000)
    cause = there.tick()
    here.observe(cause)
    assert here.tick() > cause


def test_a_clock_that_is_far_ahead_drags_nobody_along() -> None:
    here = HybridClock(lambda: 1000)
    here.observe((1000 + MAX_AHEAD_MS + 1) << COUNTER_BITS)
    assert here.tick() >> COUNTER_BITS == 1000


@pytest.mark.parametrize("ahead", [0, HOUR_NS, -HOUR_NS, 1_500_000])
def test_an_offset_is_found_whatever_its_size(ahead: int) -> None:
    offset = ClockOffset()
    for index, (there, back) in enumerate([(5_000_000, 90_000_000), (1_000_000, 1_000_000), (40_000_000, 2_000_000)]):
        sent = 10**18 + index * 10**9
        received = sent - ahead + there
        offset.add(sent, received, received + 1000, received + 1000 + ahead + back)
    assert offset.offset_ns == ahead
    assert offset.round_trip_ns == 42_000_000


def test_old_samples_are_forgotten_when_a_clock_is_set() -> None:
    offset = ClockOffset()
    offset.add(0, 1, 1, 2)
    for index in range(KEPT):
        sent = 10**9 * index
        offset.add(sent, sent - HOUR_NS + 50, sent - HOUR_NS + 50, sent + 100)
    assert offset.offset_ns == HOUR_NS


def test_an_exchange_within_one_tick_of_the_clock_is_a_sample() -> None:
    offset = ClockOffset()
    offset.add(10, 4, 4, 10)
    assert (offset.offset_ns, offset.round_trip_ns) == (6, 0)


def test_a_clock_counts_milliseconds() -> None:
    before = time.time_ns()
    stamp = HybridClock().tick()
    assert before // 1_000_000 <= stamp >> COUNTER_BITS <= time.time_ns() // 1_000_000


def test_before_the_first_exchange_nothing_is_claimed() -> None:
    offset = ClockOffset()
    offset.add(10, 20, 90, 15)  # the answer took longer than the whole exchange: not a true sample
    assert (offset.offset_ns, offset.round_trip_ns) == (0, 0)
