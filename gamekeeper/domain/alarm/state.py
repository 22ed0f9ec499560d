"""The states of an alarm, and which one follows. No clear without a raise, and none of both in a moment's waver."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from gamekeeper.domain.alarm.rule import NoData, ReadRule


class AlarmState(StrEnum):
    """PENDING holds, and not long enough yet: nobody is told. CLEARING does not hold any more, and not long enough
    yet. NO_DATA: it was raised, or stands for its node's silence, and nothing is known now."""

    PENDING = "pending"
    OPEN = "open"
    CLEARING = "clearing"
    NO_DATA = "no_data"
    CLOSED = "closed"

    @property
    def is_raised(self) -> bool:
        return self in RAISED


RAISED = frozenset({AlarmState.OPEN, AlarmState.CLEARING, AlarmState.NO_DATA})
LIVE = RAISED | {AlarmState.PENDING}


def next_state(
    rule: ReadRule, state: AlarmState | None, holds: bool | None, elapsed: timedelta, *, is_away: bool = False
) -> AlarmState | None:
    """The state after a look. None is "no alarm": where none was, and where one that nobody heard of is over.

    ``elapsed`` is the time since the alarm came into its state. ``is_away`` tells that nothing is known because the
    node is away, which is an alarm of its own."""
    if holds is None:
        return _without_data(rule, state, elapsed, is_away=is_away)
    if holds:
        return _held(rule, state, elapsed, AlarmState.OPEN)
    if state in (None, AlarmState.PENDING, AlarmState.CLOSED):
        return None
    since = elapsed if state is AlarmState.CLEARING else timedelta(0)
    return AlarmState.CLOSED if since >= rule.clear_after else AlarmState.CLEARING


def _held(rule: ReadRule, state: AlarmState | None, elapsed: timedelta, raised: AlarmState) -> AlarmState:
    if state is not None and state.is_raised:
        return raised
    since = elapsed if state is AlarmState.PENDING else timedelta(0)
    return raised if since >= rule.raise_after else AlarmState.PENDING


def _without_data(rule: ReadRule, state: AlarmState | None, elapsed: timedelta, *, is_away: bool) -> AlarmState | None:
    if rule.no_data is NoData.RAISE and not is_away:
        return _held(rule, state, elapsed, AlarmState.NO_DATA)
    if state is None or state is AlarmState.PENDING:
        return state
    return AlarmState.CLOSED if rule.no_data is NoData.CLEAR and not is_away else AlarmState.NO_DATA


def needs_look_at(state: AlarmState, changed_at: datetime, rule: ReadRule) -> datetime | None:
    """The moment at which the state may change by time alone."""
    if state is AlarmState.PENDING:
        return changed_at + rule.raise_after
    return changed_at + rule.clear_after if state is AlarmState.CLEARING else None
