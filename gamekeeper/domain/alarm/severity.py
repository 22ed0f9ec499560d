"""The severity of an alarm. Two words are enough to decide whether somebody is woken up."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """WARNING is looked at in the day. CRITICAL wakes somebody up."""

    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return 1 if self is Severity.CRITICAL else 0
