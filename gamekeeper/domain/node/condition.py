"""Node conditions: troubles of a node that is there. Raised with a reason, cleared by themselves.

A threshold to raise and a milder one to clear keep a value that wavers from raising a storm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel


class ConditionType(StrEnum):
    DOCKER_UNRESPONSIVE = "DockerUnresponsive"
    WORK_UNREACHABLE = "WorkUnreachable"
    DISK_PRESSURE = "DiskPressure"
    MEMORY_PRESSURE = "MemoryPressure"
    CLOCK_SKEW = "ClockSkew"
    AGENT_OUTDATED = "AgentOutdated"
    LINK_DEGRADED = "LinkDegraded"
    LINK_FLOODED = "LinkFlooded"
    LOG_QUOTA = "LogQuota"


class Condition(BaseModel):
    """A condition that stands now."""

    type: ConditionType
    reason: str
    since: datetime


@dataclass(frozen=True)
class Threshold:
    """Raised at ``raise_at``, cleared at ``clear_at``; ``high`` says that large values are the bad ones."""

    raise_at: float
    clear_at: float
    high: bool = True

    def holds(self, value: float, *, raised: bool) -> bool:
        limit = self.clear_at if raised else self.raise_at
        return value >= limit if self.high else value <= limit


DISK_USED_PERCENT = Threshold(90, 87)
MEMORY_AVAILABLE_PERCENT = Threshold(5, 8, high=False)
CLOCK_SKEW_SECONDS = Threshold(2.0, 1.5)
ROUND_TRIP_SECONDS = Threshold(1.0, 0.5)
WITHOUT_CERTIFICATE = (
    "its agent is of a version without certificates and can't connect; upgrade the agent, then start it once with "
    "--server HOST --token TOKEN, of `gamekeeper node enrol`"
)
SPOOL_BYTES = Threshold(256 * 1024 * 1024, 64 * 1024 * 1024)


@dataclass(frozen=True)
class Vitals:
    """The values that conditions are judged by; None is "not known", and then the condition stays as it is."""

    docker_error: str | None = None
    work_error: str | None = None
    disk_used_percent: float | None = None
    memory_available_percent: float | None = None
    clock_offset_seconds: float | None = None
    round_trip_seconds: float | None = None
    spool_bytes: float | None = None
    link_refusal: str | None = None
    logs_held_back: str | None = None
    agent_version: str | None = None
    server_version: str = ""
    had_no_certificate: bool = False  # so its agent is of a version that knew none, and can't tell its own


def judge(vitals: Vitals, standing: frozenset[ConditionType]) -> dict[ConditionType, str | None]:
    """The reason of each condition that holds, None for each that does not; those that can't be judged are left out."""
    found: dict[ConditionType, str | None] = {}

    def check(kind: ConditionType, value: float | None, threshold: Threshold, reason: str) -> None:
        if value is not None:
            found[kind] = reason if threshold.holds(value, raised=kind in standing) else None

    told = {
        ConditionType.DOCKER_UNRESPONSIVE: vitals.docker_error,
        ConditionType.WORK_UNREACHABLE: vitals.work_error,
        ConditionType.LINK_FLOODED: vitals.link_refusal,
        ConditionType.LOG_QUOTA: vitals.logs_held_back,
    }
    found.update({kind: words or None for kind, words in told.items() if words is not None})
    if vitals.agent_version is not None:
        outdated = _version(vitals.agent_version) < _version(vitals.server_version)
        reason = f"the agent is {vitals.agent_version or 'unknown'}, the server {vitals.server_version}"
        found[ConditionType.AGENT_OUTDATED] = reason if outdated else None
    if vitals.had_no_certificate:
        found[ConditionType.AGENT_OUTDATED] = WITHOUT_CERTIFICATE
    disk, memory = vitals.disk_used_percent, vitals.memory_available_percent
    check(ConditionType.DISK_PRESSURE, disk, DISK_USED_PERCENT, f"the disk is {disk or 0:.0f} % full")
    check(
        ConditionType.MEMORY_PRESSURE, memory, MEMORY_AVAILABLE_PERCENT, f"{memory or 0:.1f} % of memory are available"
    )
    offset = vitals.clock_offset_seconds
    direction = "ahead of" if (offset or 0) > 0 else "behind"
    text = f"the node's clock is {abs(offset or 0):.1f} s {direction} the server's"
    check(ConditionType.CLOCK_SKEW, None if offset is None else abs(offset), CLOCK_SKEW_SECONDS, text)
    found.update(_link(vitals, raised=ConditionType.LINK_DEGRADED in standing))
    return found


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if re.fullmatch("[0-9]{1,9}", part) else 0 for part in text.split("."))


def _link(vitals: Vitals, *, raised: bool) -> dict[ConditionType, str | None]:
    slow, behind = vitals.round_trip_seconds, vitals.spool_bytes
    if slow is not None and ROUND_TRIP_SECONDS.holds(slow, raised=raised):
        return {ConditionType.LINK_DEGRADED: f"a heartbeat takes {slow:.1f} s to be answered"}
    if behind is not None and SPOOL_BYTES.holds(behind, raised=raised):
        return {ConditionType.LINK_DEGRADED: f"{behind / 1e6:.0f} MB of logs wait on the node"}
    return {} if slow is None and behind is None else {ConditionType.LINK_DEGRADED: None}
