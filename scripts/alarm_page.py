"""Writes docs/alarm-rules.md: the default rules of alarms, and the signals that rules are made of."""

from __future__ import annotations

from collections.abc import Iterator

from gamekeeper.domain.alarm.default_rules import DEFAULT_RULES
from gamekeeper.domain.alarm.rule import AlarmRule
from gamekeeper.domain.alarm.signal import SIGNALS, Signal, Unit

HEAD = """# Rules of alarms: what comes with Gamekeeper, and what rules are made of

Written by `make pages` from `gamekeeper/domain/alarm/`. [Alarms](alarms.md) says how they work and how to change them.

## Default rules

| rule | raised when | over when | severity |
| --- | --- | --- | --- |"""
SIGNALS_HEAD = """
## Signals

A condition compares signals with values and joins comparisons by `and`, as in
`node.status == offline and node.mode != disabled`. All signals of a rule belong to one kind of object. Words are
compared by `==`, `!=` and `in (one, other)`, numbers by `<`, `<=`, `>`, `>=`, `==` and `!=`. Durations are written as
`30m`, sizes as `2g`.

| signal | values | meaning |
| --- | --- | --- |"""


def render() -> str:
    return "\n".join([HEAD, *_rules(), SIGNALS_HEAD, *_signals()]) + "\n"


def _rules() -> Iterator[str]:
    for rule_id, rule in DEFAULT_RULES.items():
        yield f"| `{rule_id}` | {_begin(rule)} | {_end(rule)} | {rule.severity} |"


def _begin(rule: AlarmRule) -> str:
    if rule.events:
        reasons = f" with the reason {', '.join(rule.reasons)}" if rule.reasons else ""
        return f"event {' or '.join(f'`{kind}`' for kind in rule.events)}{reasons}"
    return f"`{rule.when}`" + (f" for {rule.for_}" if rule.for_ != "0s" else "")


def _end(rule: AlarmRule) -> str:
    if rule.events:
        ends = [f"event `{kind}`" for kind in rule.ends_with]
        return " or ".join([*ends, f"{rule.close_after} after its last event"])
    words = f"`{rule.until}`" if rule.until else "it is not so any more"
    return words + (f" for {rule.clear_for}" if rule.clear_for != "0s" else "")


def _signals() -> Iterator[str]:
    for signal in SIGNALS.values():
        yield f"| `{signal.name}` | {_values(signal)} | {signal.meaning} |"


def _values(signal: Signal) -> str:
    if signal.unit is not Unit.WORD:
        return signal.unit.value
    several = "; several at once, each an alarm of its own" if signal.many else ""
    return ", ".join(f"`{word}`" for word in signal.words) + several
