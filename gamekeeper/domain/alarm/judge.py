"""Judges one object by one rule: what becomes of its alarms. Pure, so that a round is a table and not a story."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gamekeeper.domain.alarm.rule import ReadRule
from gamekeeper.domain.alarm.state import AlarmState, next_state
from gamekeeper.domain.alarm.subject import Facts
from gamekeeper.domain.language.units import format_duration


@dataclass(frozen=True)
class Stand:
    """An alarm that stands: its state, and since when it is in it."""

    state: AlarmState
    changed_at: datetime


@dataclass(frozen=True)
class Move:
    """A new state of an alarm. ``detail`` tells the alarms of one rule and object apart; ``after`` None drops one that
    nobody heard of."""

    detail: str
    after: AlarmState | None
    summary: str = ""
    since: datetime | None = None


def judge(rule: ReadRule, facts: Facts, standing: Mapping[str, Stand], now: datetime) -> Iterator[Move]:
    """The alarms whose state is another one now; ``standing`` has those of the rule and the object, by their detail."""
    assert rule.when is not None
    verdict = rule.when.judge(facts)
    details = dict.fromkeys((*(verdict.found if verdict.holds else ()), *standing))
    if verdict.holds is None and not details:
        details = {"": None}
    for detail in details:
        stand = standing.get(detail)
        holds = None if verdict.holds is None else detail in verdict.found
        if rule.until is not None and stand is not None and stand.state.is_raised:
            over = rule.until.judge(facts).holds
            holds = None if over is None else not over
        state = stand.state if stand else None
        elapsed = now - stand.changed_at if stand else timedelta(0)
        after = next_state(rule, state, holds, elapsed, is_away=facts.is_away)
        if after is not state:
            yield Move(detail, after, summary(rule, facts, detail), _since(rule, facts))


def summary(rule: ReadRule, facts: Facts, detail: str) -> str:
    """Why, in one line: the words that are known of the signals, or their values."""
    assert rule.when is not None
    if detail:
        return facts.words.get(f"{rule.when.clauses[0].signal.name}.{detail}", detail)
    told = []
    for clause in rule.when.clauses:
        name = clause.signal.name
        value = facts.values.get(name)
        if words := facts.words.get(name):
            told.append(words)
        elif value is None:
            told.append(f"{name} is not known")
        else:
            told.append(f"{name} is {_shown(name, value)}")
    return "; ".join(told)[:500]


def _shown(name: str, value: object) -> str:
    if not isinstance(value, float | int):
        return str(value)
    if name.endswith(("_in", "_for")):
        return format_duration(timedelta(seconds=round(value)))
    if name.endswith("_bytes"):
        return f"{value / 2**20:,.0f} MiB"
    return f"{value:.1f} %" if name.endswith("_percent") else f"{value:g}"


def _since(rule: ReadRule, facts: Facts) -> datetime | None:
    assert rule.when is not None
    known = [facts.since[clause.signal.name] for clause in rule.when.clauses if clause.signal.name in facts.since]
    return max(known, default=None)
