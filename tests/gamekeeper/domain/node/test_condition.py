"""Conditions: raised at one threshold, cleared at a milder one, left alone where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gamekeeper.domain.node.condition import ConditionType, Vitals, judge

NONE: frozenset[ConditionType] = frozenset()


@pytest.mark.parametrize(
    ("kind", "bad", "between", "good", "says"),
    [
        (
            ConditionType.DISK_PRESSURE,
            Vitals(disk_used_percent=91),
            Vitals(disk_used_percent=88),
            Vitals(disk_used_percent=80),
            "91 % full",
        ),
        (
            ConditionType.MEMORY_PRESSURE,
            Vitals(memory_available_percent=4),
            Vitals(memory_available_percent=6),
            Vitals(memory_available_percent=20),
            "4.0 % of memory",
        ),
        (
            ConditionType.MEMORY_PRESSURE,
            Vitals(memory_available_percent=0),
            Vitals(memory_available_percent=8),
            Vitals(memory_available_percent=9),
            "0.0 % of memory",
        ),
        (
            ConditionType.CLOCK_SKEW,
            Vitals(clock_offset_seconds=-3600),
            Vitals(clock_offset_seconds=1.7),
            Vitals(clock_offset_seconds=0.1),
            "3600.0 s behind",
        ),
        (
            ConditionType.CLOCK_SKEW,
            Vitals(clock_offset_seconds=2),
            Vitals(clock_offset_seconds=-1.7),
            Vitals(clock_offset_seconds=0),
            "2.0 s ahead of the server's",
        ),
        (
            ConditionType.LINK_DEGRADED,
            Vitals(round_trip_seconds=1.5),
            Vitals(round_trip_seconds=0.7),
            Vitals(round_trip_seconds=0.1),
            "1.5 s to be answered",
        ),
        (
            ConditionType.LINK_DEGRADED,
            Vitals(spool_bytes=3e8),
            Vitals(spool_bytes=1e8),
            Vitals(spool_bytes=0),
            "300 MB of logs",
        ),
    ],
)
def test_thresholds_with_hysteresis(kind: ConditionType, bad: Vitals, between: Vitals, good: Vitals, says: str) -> None:
    assert says in str(judge(bad, NONE)[kind])
    assert judge(between, NONE)[kind] is None
    assert judge(between, frozenset({kind}))[kind] is not None
    assert judge(good, frozenset({kind}))[kind] is None


@pytest.mark.parametrize(
    ("kind", "field", "raised_at", "cleared_past", "step"),
    [
        (ConditionType.DISK_PRESSURE, "disk_used_percent", 90, 87, -0.1),
        (ConditionType.MEMORY_PRESSURE, "memory_available_percent", 5, 8, 0.1),
        (ConditionType.CLOCK_SKEW, "clock_offset_seconds", 2.0, 1.5, -0.1),
        (ConditionType.CLOCK_SKEW, "clock_offset_seconds", -2.0, -1.5, 0.1),
        (ConditionType.LINK_DEGRADED, "round_trip_seconds", 1.0, 0.5, -0.1),
        (ConditionType.LINK_DEGRADED, "spool_bytes", 2**28, 2**26, -1),
    ],
)
def test_a_condition_begins_and_ends_just_at_its_thresholds(
    kind: ConditionType, field: str, raised_at: float, cleared_past: float, step: float
) -> None:
    """``step`` is a little towards the good."""

    def holds(value: float, *, raised: bool) -> bool:
        changed: dict[str, Any] = {field: value}
        return judge(replace(Vitals(), **changed), frozenset({kind}) if raised else NONE)[kind] is not None

    assert holds(raised_at, raised=False)
    assert not holds(raised_at + step, raised=False)
    assert holds(cleared_past, raised=True)
    assert not holds(cleared_past + step, raised=True)


@pytest.mark.parametrize(
    ("agent", "server", "outdated"),
    [
        ("0.1.0", "0.2.0", True),
        ("0.9.0", "0.10.0", True),
        ("0.2.0", "0.2.0", False),
        ("1.0.0", "0.2.0", False),
        ("", "0.2.0", True),
        ("0.2.dev1", "0.2.1", True),
        ("0.2.dev1", "0.2.0", False),
    ],
)
def test_an_agent_that_is_older_than_its_server_is_outdated(agent: str, server: str, outdated: bool) -> None:
    found = judge(Vitals(agent_version=agent, server_version=server), NONE)[ConditionType.AGENT_OUTDATED]
    assert found == (f"the agent is {agent or 'unknown'}, the server {server}" if outdated else None)


def test_docker_and_versions() -> None:
    found = judge(Vitals(docker_error="dead", agent_version="0.1.0", server_version="0.2.0"), NONE)
    assert found[ConditionType.DOCKER_UNRESPONSIVE] == "dead"
    assert "0.1.0" in str(found[ConditionType.AGENT_OUTDATED])
    healthy = judge(Vitals(docker_error="", agent_version="0.3.0", server_version="0.2.0"), NONE)
    assert healthy[ConditionType.DOCKER_UNRESPONSIVE] is None
    assert healthy[ConditionType.AGENT_OUTDATED] is None


def test_work_that_can_not_be_had() -> None:
    assert judge(Vitals(work_error="refused"), NONE) == {ConditionType.WORK_UNREACHABLE: "refused"}
    assert judge(Vitals(work_error=""), frozenset(ConditionType)) == {ConditionType.WORK_UNREACHABLE: None}


def test_what_is_not_told_is_not_judged() -> None:
    assert judge(Vitals(), frozenset(ConditionType)) == {}
