"""Conditions of rules: what they mean, and where a mistake in one is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gamekeeper.domain.alarm.condition import MAX_LENGTH, ConditionError, Verdict, parse_condition
from gamekeeper.domain.alarm.default_rules import DEFAULT_RULES
from gamekeeper.domain.alarm.rule import AlarmRule, read_rule
from gamekeeper.domain.alarm.selection import Selection
from gamekeeper.domain.alarm.subject import Facts, Subject, Value
from gamekeeper.errors import SpecError

NODE = Subject("node", "n1", "n1")


def facts(**values: Value) -> Facts:
    return Facts(NODE, {f"node.{name}": value for name, value in values.items()})


@pytest.mark.parametrize(
    ("text", "known", "holds"),
    [
        ("node.status == offline", {"status": "offline"}, True),
        ("node.status == offline", {"status": "online"}, False),
        ("node.status != offline", {"status": "online"}, True),
        ("node.status in (offline, suspect)", {"status": "suspect"}, True),
        ("node.status == offline", {}, None),
        ("node.cpu_percent >= 90", {"cpu_percent": 90.0}, True),
        ("node.cpu_percent<90.5", {"cpu_percent": 90.6}, False),
        ("node.disk_full_in < 24h", {"disk_full_in": 3600.0}, True),
        ("node.disk_free_bytes < 2g", {"disk_free_bytes": 2.0 * 2**30}, False),
        ("node.status == offline and node.mode != disabled", {"status": "offline", "mode": "disabled"}, False),
        ("node.status == offline and node.cpu_percent > 1", {"status": "online"}, False),
        ("node.status == online and node.cpu_percent > 1", {"status": "online"}, None),
    ],
)
def test_a_condition_says_yes_no_or_that_nothing_is_known(
    text: str, known: dict[str, Value], holds: bool | None
) -> None:
    assert parse_condition(text).judge(facts(**known)).holds is holds


def test_nothing_is_known_of_what_is_away() -> None:
    away = replace(facts(cpu_percent=50.0), is_away=True)
    assert parse_condition("node.cpu_percent > 1").judge(away).holds is None


def test_each_value_of_a_signal_with_several_is_an_alarm_of_its_own() -> None:
    condition = parse_condition("node.condition in (ClockSkew, DiskPressure) and node.mode == active")
    known = facts(condition=frozenset({"DiskPressure", "ClockSkew", "AgentOutdated"}), mode="active")
    assert condition.judge(known) == Verdict(True, ("ClockSkew", "DiskPressure"))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "a signal is missing"),
        ("node.stat == offline", 1, 'did you mean "node.status"?'),
        ("node.status = offline", 13, '"=" is no part'),
        ("node.status offline", 13, '"offline" is no comparison'),
        ("node.status == ofline", 16, 'did you mean "offline"?'),
        ("node.status < offline", 13, "no more and no less"),
        ("node.cpu_percent > many", 20, '"many" is no number'),
        ("node.disk_full_in < 5", 21, "5s for seconds"),
        ("node.status == offline or node.mode == active", 24, "make a second one"),
        ("node.status == offline and", 27, "a signal is missing before the end"),
        ("node.status == offline and instance.state == failed", 28, "one kind of object"),
        ("node.status in (offline", 24, 'a list ends with ")"'),
        ("node.status in offline", 16, '"(" is missing'),
        ("node.cpu_percent > " + "9" * MAX_LENGTH, MAX_LENGTH + 1, "characters at most"),
        ("node.status == offline" + " and node.mode == active" * 8, 196, "8 clauses at most"),
        ("node.condition == ClockSkew and node.condition == LogQuota", 1, "make a second rule"),
    ],
)
def test_a_condition_that_cant_be_read_is_told_with_its_place(text: str, column: int, words: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse_condition(text)
    assert refused.value.column == column
    assert words in str(refused.value)


def test_the_default_rules_are_sound_and_few() -> None:
    assert len([read_rule(rule_id, rule) for rule_id, rule in DEFAULT_RULES.items()]) < 20


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (AlarmRule(), "when"),
        (AlarmRule(when="node.status == offline", events=["run.failed"]), "when"),
        (AlarmRule(events=["run.fails"]), "events[0]"),
        (AlarmRule(events=["alarm.raised"]), "events[0]"),
        (AlarmRule(events=["run.failed"], until="node.status == online"), "until"),
        (AlarmRule(when="node.status == offline", until="instance.state == ready"), "until"),
        (AlarmRule(when="node.status == offline", on=Selection(kind="instance")), "on.kind"),
        (AlarmRule(when="node.status == offline", on=Selection(ids=["a"])), "on"),
    ],
)
def test_a_rule_that_means_nothing_is_refused_with_the_field(rule: AlarmRule, path: str) -> None:
    with pytest.raises(SpecError) as refused:
        read_rule("r", rule)
    assert path in [problem.path for problem in refused.value.problems]
