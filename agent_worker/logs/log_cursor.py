"""Position in a container's log, so that reading it again drops exactly what is known.

A log that is still whole in the engine is read again from its start and dropped by the count of its lines: exact,
whatever a clock did meanwhile. A larger one, whose beginning the engine may have rotated away, is resumed by time,
which the engine does inclusively, and lines share times: so the number of lines at the newest time is kept as well.

The engine must still hold the newest line that is known. When it does not, its log was rotated further or cut, and
lines that nobody has read may be gone.

Docker up to 20.10 shows a follower the first lines of each new file twice: it takes the smaller file for one that was
cut. What goes back in time is therefore not kept, but read again without following.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from gamekeeper.domain.log.log import PART_BYTES, LogLine, LogStream

WHOLE_BYTES = 128 * 1024 * 1024  # half of the size at which the engine begins a new file
LINE_BYTES = 40  # what the engine stores with each line
_FIELDS = ("read_bytes", "first_ts_ns", "lost", "countable", "is_cut", "begun_ns")
_MARGIN_NS = 1_000_000_000  # the two streams are stamped by two writers, so their times interleave loosely


@dataclass
class _Position:
    """``at_ts`` lines in a row have the time of the last line; ``latest_ns`` is the highest time of all. Only this
    process knows ``goes_on``: the last one is a part of a line that more belongs to."""

    ts_ns: int = 0
    at_ts: int = 0
    total: int = 0
    latest_ns: int = 0
    goes_on: bool = False

    def repeats(self, line: LogLine) -> bool:
        return line.ts_ns < self.ts_ns or (line.ts_ns == self.ts_ns and not self.goes_on)

    def advance(self, times: Sequence[int]) -> None:
        newest = times[-1]
        at_newest = sum(1 for _ in takewhile(lambda ts_ns: ts_ns == newest, reversed(times)))
        goes_on = at_newest == len(times) and newest == self.ts_ns
        self.at_ts = self.at_ts + at_newest if goes_on else at_newest
        self.ts_ns = newest
        self.total += len(times)
        self.latest_ns = max(self.latest_ns, *times)


@dataclass
class LogCursor:
    """A place in a log. ``advance`` moves it over lines that are being kept; only this process knows ``newest``.

    ``is_cut`` says that the engine's log was found cut and that this is told, until lines come again. ``begun_ns`` is
    when reading it began, for as long as it is not known whether the engine had dropped lines by then.
    """

    positions: dict[int, _Position] = field(default_factory=dict)
    read_bytes: int = 0
    first_ts_ns: int = 0
    lost: bool = False
    countable: bool = True
    is_cut: bool = False
    begun_ns: int = 0
    newest: LogLine | None = None

    @property
    def by_count(self) -> bool:
        return self.countable and self.read_bytes < WHOLE_BYTES

    @property
    def since_ns(self) -> int:
        """The time from which to ask the engine."""
        return 0 if self.by_count else max(0, self.newest_ns - _MARGIN_NS)

    @property
    def newest_ns(self) -> int:
        return max((position.ts_ns for position in self.positions.values()), default=0)

    def cut(self) -> None:
        """Notes that the engine lacks lines that were read: from here on its lines can't be counted."""
        self.lost = self.is_cut = True
        self.countable = False
        for position in self.positions.values():
            position.at_ts, position.latest_ns = 0, position.ts_ns  # what a set-back clock made older is new

    def advance(self, lines: Sequence[LogLine]) -> None:
        if lines and not self.positions:
            self.first_ts_ns = lines[0].ts_ns
        self.is_cut = self.is_cut and not lines
        self.read_bytes += sum([len(line[2]) for line in lines]) + LINE_BYTES * len(lines)
        for stream in {line[0] for line in lines}:
            own = [line for line in lines if line[0] is stream]
            position = self.positions.setdefault(int(stream), _Position())
            position.advance([line[1] for line in own])
            position.goes_on = _is_part(own[-1])
        self.newest = lines[-1] if lines else self.newest

    def before_repeated(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """The lines before the first whose stream is past it. One whose clock was set back looks the same."""
        reached = {key: replace(item) for key, item in self.positions.items()}
        for index, line in enumerate(lines):
            position = reached.setdefault(int(line.stream), _Position())
            if position.repeats(line):
                return lines[:index]
            position.ts_ns, position.goes_on = line.ts_ns, _is_part(line)
        return lines

    def filter(self) -> LineFilter:
        """A filter for one reading of the log from ``since_ns`` on."""
        return LineFilter(self)

    def encode(self) -> str:
        positions = {key: [item.ts_ns, item.at_ts, item.total, item.latest_ns] for key, item in self.positions.items()}
        return json.dumps({"positions": positions, **{name: getattr(self, name) for name in _FIELDS}})

    @classmethod
    def decode(cls, text: str) -> LogCursor:
        """``text`` may be of the version before, which knew fewer fields."""
        fields = json.loads(text)
        positions = {int(key): _Position(*values) for key, values in fields.get("positions", {}).items()}
        return cls(positions, **{name: fields[name] for name in _FIELDS if name in fields})


def _is_part(line: LogLine) -> bool:
    return len(line.data) >= PART_BYTES and not line.data.endswith(b"\n")


class LineFilter:
    """Drops what the cursor had passed when the reading began. ``lost`` says that lines are missing before those that
    ``fresh`` returned last, ``misses_known`` that the engine did not show the newest line that is known."""

    def __init__(self, cursor: LogCursor) -> None:
        self._by_count = cursor.by_count
        self._first_ts_ns = cursor.first_ts_ns
        self._is_told = cursor.is_cut
        self._newest_ns = cursor.newest_ns
        self._known = {key: replace(item) for key, item in cursor.positions.items()}
        self._begun = False
        self.lost = False

    @property
    def misses_known(self) -> bool:
        """To be asked when all that the engine has was read."""
        if self._by_count:
            return any(known.total > 0 for known in self._known.values())
        return any(known.at_ts > 0 for known in self._known.values() if known.ts_ns == self._newest_ns)

    def fresh(self, lines: Sequence[LogLine]) -> list[LogLine]:
        """Returns the lines that are not known yet."""
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
        self.lost = (
            not self._by_count
            and not self._is_told
            and (known is None or line.ts_ns > max(known.ts_ns, known.latest_ns))
        )
        if self.lost:
            self._forget_newest()

    def _is_known(self, line: LogLine) -> bool:
        known = self._known.get(int(LogStream(line.stream)))
        if known is None:
            return False
        if self._by_count and known.total > 0 and line.ts_ns > known.latest_ns > 0:
            self._by_count, self.lost = False, True  # newer than all that is known: known lines were cut out before it
            self._forget_newest()
        if self._by_count:
            known.total -= 1
            return known.total >= 0
        if line.ts_ns == known.ts_ns:
            known.at_ts -= 1
            if known.at_ts == 0:  # from here on all is new, also what a clock that was set back gave an older time
                known.ts_ns = known.latest_ns = 0
                return True
            return known.at_ts > 0
        return line.ts_ns <= max(known.ts_ns, known.latest_ns)

    def _forget_newest(self) -> None:
        """The loss is told with the next lines; it is not to be told a second time at the end."""
        for known in self._known.values():
            known.at_ts = 0
