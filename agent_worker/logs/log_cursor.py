"""A cursor in a container's log: it marks the lines that have been read, so that reading again drops exactly those.

A log that is still whole in the engine is read again from its start and dropped by the count of its lines: exact,
whatever a clock did meanwhile. A larger one, whose beginning the engine may have rotated away, is resumed by time,
which the engine does inclusively, and lines share times: so the number of lines at the newest time is kept as well.
Resumed so, the engine must begin with lines that are known; when it does not, it has rotated unread ones away.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from gamekeeper.domain.log.log import LogLine, LogStream

WHOLE_BYTES = 128 * 1024 * 1024  # half of the size at which the engine begins a new file
LINE_BYTES = 40  # what the engine stores with each line
_MARGIN_NS = 1_000_000_000  # the two streams are stamped by two writers, so their times interleave loosely


@dataclass
class _Position:
    """``at_ts`` lines in a row have the newest time."""

    ts_ns: int = 0
    at_ts: int = 0
    total: int = 0

    def advance(self, times: Sequence[int]) -> None:
        newest = times[-1]
        at_newest = sum(1 for _ in takewhile(lambda ts_ns: ts_ns == newest, reversed(times)))
        goes_on = at_newest == len(times) and newest == self.ts_ns
        self.at_ts = self.at_ts + at_newest if goes_on else at_newest
        self.ts_ns = newest
        self.total += len(times)


@dataclass
class LogCursor:
    """A place in a log. ``advance`` moves it over lines that are being kept; only this process knows ``newest``."""

    positions: dict[int, _Position] = field(default_factory=dict)
    read_bytes: int = 0
    first_ts_ns: int = 0
    lost: bool = False
    newest: LogLine | None = None

    @property
    def by_count(self) -> bool:
        return self.read_bytes < WHOLE_BYTES

    @property
    def since_ns(self) -> int:
        """The time from which to ask the engine."""
        if self.by_count or not self.positions:
            return 0
        return max(0, max(position.ts_ns for position in self.positions.values()) - _MARGIN_NS)

    def advance(self, lines: Sequence[LogLine]) -> None:
        if lines and not self.positions:
            self.first_ts_ns = lines[0].ts_ns
        self.read_bytes += sum([len(line[2]) for line in lines]) + LINE_BYTES * len(lines)
        for stream in {line[0] for line in lines}:
            times = [line[1] for line in lines if line[0] is stream]
            self.positions.setdefault(int(stream), _Position()).advance(times)
        self.newest = lines[-1] if lines else self.newest

    def filter(self) -> LineFilter:
        """A filter for one reading of the log from ``since_ns`` on."""
        return LineFilter(self)

    def encode(self) -> str:
        positions = {key: [item.ts_ns, item.at_ts, item.total] for key, item in self.positions.items()}
        rest = {"read_bytes": self.read_bytes, "first_ts_ns": self.first_ts_ns, "lost": self.lost}
        return json.dumps({"positions": positions, **rest})

    @classmethod
    def decode(cls, text: str) -> LogCursor:
        fields = json.loads(text)
        positions = {int(key): _Position(*values) for key, values in fields.get("positions", {}).items()}
        rest = int(fields.get("read_bytes", 0)), int(fields.get("first_ts_ns", 0)), bool(fields.get("lost"))
        return cls(positions, *rest)


class LineFilter:
    """Drops what the cursor had passed when the reading began. ``lost`` says that lines are missing after that."""

    def __init__(self, cursor: LogCursor) -> None:
        self._by_count = cursor.by_count
        self._first_ts_ns = cursor.first_ts_ns
        self._known = {key: _Position(item.ts_ns, item.at_ts, item.total) for key, item in cursor.positions.items()}
        self._begun = False
        self.lost = False

    def fresh(self, lines: Sequence[LogLine]) -> list[LogLine]:
        if not self._known:
            return list(lines)
        if lines and not self._begun:
            self._begin(lines[0])
        return [line for line in lines if not self._is_known(line)]

    def _begin(self, line: LogLine) -> None:
        self._begun = True
        if self._first_ts_ns and line.ts_ns != self._first_ts_ns:
            self._by_count = False  # the beginning is gone
        known = self._known.get(int(line.stream))
        self.lost = not self._by_count and (known is None or line.ts_ns > known.ts_ns)

    def _is_known(self, line: LogLine) -> bool:
        known = self._known.get(int(LogStream(line.stream)))
        if known is None:
            return False
        if self._by_count:
            known.total -= 1
            return known.total >= 0
        if line.ts_ns == known.ts_ns:
            known.at_ts -= 1
            return known.at_ts >= 0
        return line.ts_ns < known.ts_ns
