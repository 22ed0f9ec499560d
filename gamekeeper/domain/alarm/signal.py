"""Signals: the words that rules are made of. A signal is a line here with its meaning; docs/alarms.md has the table.

A new one needs its line, and somebody who puts its value into the facts of its objects
(``gamekeeper.control_plane.alarm.facts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.node.condition import ConditionType
from gamekeeper.domain.node.metric import NODE_METRICS
from gamekeeper.domain.node.node import NodeMode, NodeStatus


class Unit(StrEnum):
    """The way in which values of a signal are written."""

    WORD = "word"
    NUMBER = "number"
    BYTES = "bytes"
    SECONDS = "duration"


@dataclass(frozen=True)
class Signal:
    """``subject`` is the kind of object that has it. ``words`` are all values of a signal whose unit is WORD. One with
    ``many`` has several values at once, and each that fits is an alarm of its own."""

    name: str
    unit: Unit
    meaning: str
    words: tuple[str, ...] = ()
    many: bool = False

    @property
    def subject(self) -> str:
        return self.name.partition(".")[0]


def _metric(name: str) -> Signal:
    is_size = name.endswith("_bytes")
    return Signal(f"node.{name}", Unit.BYTES if is_size else Unit.NUMBER, "a metric of the node, as a mean of a minute")


_ALL = (
    Signal("node.status", Unit.WORD, "the status of the node", tuple(NodeStatus)),
    Signal("node.mode", Unit.WORD, "the decision of its operator", tuple(NodeMode)),
    Signal("node.condition", Unit.WORD, "each condition that stands", tuple(ConditionType), many=True),
    Signal("node.memory_used_percent", Unit.NUMBER, "memory in use, of all that it has"),
    Signal("node.disk_full_in", Unit.SECONDS, "time until its disk is full, if it fills on as in the last hours"),
    *(_metric(name) for name in NODE_METRICS),
    Signal("instance.state", Unit.WORD, "the state that its node told last", tuple(InstanceState)),
    Signal("instance.reason", Unit.WORD, "the reason of that state", ("none", *InstanceReason)),
    Signal("instance.desired", Unit.WORD, "the wish of its user", tuple(Desired)),
    Signal("instance.crash_count", Unit.NUMBER, "crashes since it was started by hand"),
    Signal("instance.cpu_percent", Unit.NUMBER, "processor time, as a mean of a minute; 100 is one core"),
    Signal("instance.memory_bytes", Unit.BYTES, "memory in use, as a mean of a minute"),
    Signal("instance.memory_of_limit_percent", Unit.NUMBER, "memory in use, of its own limit"),
    Signal("run.state", Unit.WORD, "the state of a run that has not ended", ("queued", "running", "paused")),
    Signal("run.queued_for", Unit.SECONDS, "time since it was asked for, while nothing of it has begun"),
    Signal("run.running_for", Unit.SECONDS, "time since it began"),
    Signal("server.certificates", Unit.WORD, "the control plane's own certificates", ("good", "near_end")),
)
SIGNALS: Mapping[str, Signal] = {signal.name: signal for signal in _ALL}
SUBJECTS = tuple(dict.fromkeys(signal.subject for signal in _ALL))
