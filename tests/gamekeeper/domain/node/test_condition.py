"""Conditions: raised at one threshold, cleared at a milder one, left alone where nothing is known."""

from __future__ import annotations

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
            ConditionType.CLOCK_SKEW,
            Vitals(clock_offset_seconds=-3600),
            Vitals(clock_offset_seconds=1.7),
            Vitals(clock_offset_seconds=0.1),
            "3600.0 s behind",
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


def test_docker_and_versions() -> None:
    found = judge(Vitals(docker_error="dead", agent_version="0.1.0", server_version="0.2.0"), NONE)
    assert found[ConditionType.DOCKER_UNRESPONSIVE] == "dead"
    assert "0.1.0" in str(found[ConditionType.AGENT_OUTDATED])
    healthy = judge(Vitals(docker_error="", agent_version="0.3.0", server_version="0.2.0"), NONE)
    assert healthy[ConditionType.DOCKER_UNRESPONSIVE] is None
    assert healthy[ConditionType.AGENT_OUTDATED] is None


def test_what_is_not_told_is_not_judged() -> None:
    assert judge(Vitals(), frozenset(ConditionType)) == {}
