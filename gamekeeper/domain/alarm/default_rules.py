"""The rules of a new control plane: few, so that each alarm is worth a look. docs/alarms.md tells them."""

from __future__ import annotations

from collections.abc import Mapping

from gamekeeper.domain.alarm.rule import AlarmRule
from gamekeeper.domain.alarm.severity import Severity

_TROUBLES = (
    "DockerUnresponsive, WorkUnreachable, DiskPressure, MemoryPressure, ClockSkew, LinkDegraded, LinkFlooded, LogQuota"
)
DEFAULT_RULES: Mapping[str, AlarmRule] = {
    "node-offline": AlarmRule(
        name="Node offline",
        when="node.status == offline and node.mode != disabled",
        clear_for="5s",
        severity=Severity.CRITICAL,
        note="Is the machine on, and has it a network? Its games may go on: they are unknown until it is back.",
    ),
    "node-condition": AlarmRule(
        name="Trouble of a node", when=f"node.condition in ({_TROUBLES})", for_="30s", clear_for="30s"
    ),
    "node-disk-filling": AlarmRule(
        name="Disk fills up",
        when="node.disk_full_in < 24h",
        until="node.disk_full_in > 48h",
        for_="10m",
        note="It is full within a day if it fills on as in the last hours.",
    ),
    "instance-crash-loop": AlarmRule(
        name="Crash loop", when="instance.state == crash_loop", severity=Severity.CRITICAL
    ),
    "instance-failed": AlarmRule(name="Can't be started", when="instance.state == failed", severity=Severity.CRITICAL),
    "instance-out-of-memory": AlarmRule(
        name="Killed for want of memory",
        events=["instance.restarting", "instance.crash_loop"],
        reasons=["oom"],
        close_after="6h",
        note="Give it more memory, or find out what it needs it for.",
    ),
    "instance-near-memory-limit": AlarmRule(
        name="Near its memory limit",
        when="instance.memory_of_limit_percent >= 95",
        until="instance.memory_of_limit_percent < 85",
        for_="5m",
    ),
    "run-failed": AlarmRule(name="Run failed", events=["run.failed"], ends_with=["run.succeeded"], close_after="7d"),
    "run-stuck": AlarmRule(
        name="Run stuck", events=["run.stuck"], ends_with=["run.succeeded", "run.failed", "run.canceled"]
    ),
    "run-waiting": AlarmRule(name="Run waits too long", when="run.queued_for > 30m"),
    "schedule-missed": AlarmRule(
        name="Schedule missed",
        events=["instance.schedule_missed", "schedule.refused"],
        ends_with=["instance.schedule_fired"],
    ),
    "log-gap": AlarmRule(name="Lines of a log are lost", events=["run.logs_cut"], close_after="6h"),
    "certificate-near-end": AlarmRule(
        name="Certificate near its end", when="server.certificates == near_end", for_="10m"
    ),
    "server-disk-low": AlarmRule(
        name="The server's disk is nearly full",
        events=["server.disk_low"],
        ends_with=["server.disk_free"],
        close_after="30d",
        severity=Severity.CRITICAL,
    ),
}
