"""The alarms that a reader wants."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gamekeeper.domain.alarm.state import RAISED, AlarmState


@dataclass(frozen=True)
class AlarmFilter:
    """Empty fields match all; by default those that were raised and stand."""

    states: Collection[AlarmState] = RAISED
    severity: str = ""
    rule: str = ""
    node: str = ""
    kind: str = ""
    object_id: str = ""
    parent: str = ""
