"""A step's log as records that can be acknowledged, so that a loss is a fact and never a guess."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum


class LogStream(IntEnum):
    """``GAP`` records a loss, ``END`` closes the log; both hold JSON, the others what the container wrote."""

    STDOUT = 1
    STDERR = 2
    GAP = 3
    END = 4


@dataclass(frozen=True, slots=True)
class LogRecord:
    """``seq`` counts from 1 without holes within one try of one step; ``ts_ns`` is Docker's time of the line."""

    seq: int
    stream: LogStream
    ts_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line (or a part of a very long one) as the engine delivers it, before it has a number."""

    stream: LogStream
    ts_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LogEnd:
    """How a log ended. ``complete`` is False when lines are missing; ``reason`` then says why."""

    complete: bool
    reason: str = ""

    def encode(self) -> bytes:
        return json.dumps({"complete": self.complete, "reason": self.reason}).encode()

    @classmethod
    def decode(cls, data: bytes) -> LogEnd:
        fields = json.loads(data)
        return cls(bool(fields["complete"]), str(fields.get("reason", "")))
