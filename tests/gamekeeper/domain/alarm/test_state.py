"""The states of an alarm, as a table."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gamekeeper.domain.alarm.rule import AlarmRule, NoData, ReadRule, read_rule
from gamekeeper.domain.alarm.state import AlarmState, next_state

PENDING, OPEN, CLEARING = AlarmState.PENDING, AlarmState.OPEN, AlarmState.CLEARING
NO_DATA, CLOSED = AlarmState.NO_DATA, AlarmState.CLOSED
SHORT, LONG = timedelta(seconds=5), timedelta(seconds=10)


def rule(no_data: NoData = NoData.KEEP, time: str = "10s") -> ReadRule:
    return read_rule("r", AlarmRule(when="node.cpu_percent > 90", for_=time, clear_for=time, no_data=no_data))


@pytest.mark.parametrize(
    ("before", "holds", "elapsed", "after"),
    [
        (None, True, SHORT, PENDING),
        (None, False, SHORT, None),
        (None, None, LONG, None),
        (PENDING, True, SHORT, PENDING),
        (PENDING, True, LONG, OPEN),
        (PENDING, False, LONG, None),
        (PENDING, None, LONG, PENDING),
        (OPEN, True, LONG, OPEN),
        (OPEN, False, LONG, CLEARING),
        (OPEN, None, LONG, NO_DATA),
        (CLEARING, False, SHORT, CLEARING),
        (CLEARING, False, LONG, CLOSED),
        (CLEARING, True, LONG, OPEN),
        (CLEARING, None, LONG, NO_DATA),
        (NO_DATA, True, SHORT, OPEN),
        (NO_DATA, False, LONG, CLEARING),
        (NO_DATA, None, LONG, NO_DATA),
    ],
)
def test_the_state_after_a_look(
    before: AlarmState | None, holds: bool | None, elapsed: timedelta, after: AlarmState | None
) -> None:
    assert next_state(rule(), before, holds, elapsed) is after


def test_without_a_time_there_is_nothing_in_between() -> None:
    at_once = rule(time="0s")
    assert next_state(at_once, None, True, timedelta(0)) is OPEN
    assert next_state(at_once, OPEN, False, timedelta(0)) is CLOSED


def test_that_nothing_is_known_can_be_the_alarm_unless_the_node_is_one_already() -> None:
    loud = rule(NoData.RAISE)
    assert next_state(loud, None, None, SHORT) is PENDING
    assert next_state(loud, PENDING, None, LONG) is NO_DATA
    assert next_state(loud, None, None, SHORT, is_away=True) is None


def test_that_nothing_is_known_can_be_the_end() -> None:
    assert next_state(rule(NoData.CLEAR), OPEN, None, SHORT) is CLOSED
    assert next_state(rule(NoData.CLEAR), OPEN, None, SHORT, is_away=True) is NO_DATA
