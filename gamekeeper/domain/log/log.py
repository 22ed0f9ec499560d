"""A step's log as records that can be acknowledged, so that a loss is a fact and never a guess."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from gamekeeper.errors import InvalidError

MAX_REASON = 1000
PART_BYTES = 16 * 1024  # the engine cuts longer lines into parts of this size, which share their time


class LogStream(IntEnum):
    """``GAP`` records a loss, ``END`` closes the log; both hold JSON. ``LINES`` holds many lines (``log_pack``), on
    their way and at rest alone; the others hold what the container wrote."""

    STDOUT = 1
    STDERR = 2
    GAP = 3
    END = 4
    LINES = 5


class LogRecord(NamedTuple):
    """``seq`` counts from 1 without holes within one try of one step; ``ts_ns`` is Docker's time of the line. A tuple,
    because there are tens of thousands a second. Of many lines in one it is the last one's."""

    seq: int
    stream: LogStream
    ts_ns: int
    data: bytes


class LogLine(NamedTuple):
    """A line (or a part of a very long one) as the engine delivers it, before it has a number."""

    stream: LogStream
    ts_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The end of a log. ``complete`` is False when lines are missing; ``reason`` then says why."""

    complete: bool
    reason: str = ""

    def encode(self) -> bytes:
        return json.dumps({"complete": self.complete, "reason": self.reason}).encode()

    @classmethod
    def decode(cls, data: bytes) -> LogEnd:
        """Raises InvalidError for what ``encode`` never made."""
        fields = _fields(data)
        return cls(bool(fields.get("complete")), str(fields.get("reason", ""))[:MAX_REASON])


@dataclass(frozen=True, slots=True)
class LogGap:
    """Records ``first`` to ``last`` are missing. The record that says so has the number ``last``."""

    first: int
    last: int
    reason: str

    def encode(self) -> bytes:
        return json.dumps({"from": self.first, "to": self.last, "reason": self.reason}).encode()

    @classmethod
    def decode(cls, data: bytes) -> LogGap:
        """Raises InvalidError for what ``encode`` never made."""
        fields = _fields(data)
        try:
            return cls(int(fields["from"]), int(fields["to"]), str(fields.get("reason", ""))[:MAX_REASON])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InvalidError("a gap record does not say what is missing") from error


@dataclass(frozen=True, slots=True)
class LogClocks:
    """The lead of the node's clock over the server's while a log came in: ``marks`` are (first seq, nanoseconds).

    With it the lines of logs from several nodes have one order, and each keeps the time that its node gave it.
    """

    marks: Sequence[tuple[int, int]] = ()

    def offset_ns(self, seq: int) -> int:
        """0 for a log whose node's clock was never measured."""
        place = bisect_right(self.marks, seq, key=lambda mark: mark[0])
        return self.marks[max(0, place - 1)][1] if self.marks else 0

    def server_ns(self, record: LogRecord) -> int:
        """The time of a line by the server's clock."""
        return record.ts_ns - self.offset_ns(record.seq)


def _fields(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError too
        raise InvalidError("a gap or end record is not JSON") from error
    if not isinstance(fields, dict):
        raise InvalidError("a gap or end record is not a JSON object")
    return fields
