"""The end of a log that is followed while a console begins: what of it comes before the console, and may be shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from gamekeeper.domain.log.log import LogLine, LogStream

HISTORY_BYTES = 1024 * 1024
# Behind which no beginning of a console is looked for. The log may be ahead of what was read of the console by all that
# lies between: the engine holds a megabyte for who is attached, and the sockets hold some more.
USEFUL_BYTES = 4 * 1024 * 1024


class FollowedLog:
    """Its lines up to ``mark``, which was the last one before the attach, and those behind it. ``count`` are wanted
    before the console. ``ends_cut_line`` tells of lines whose newline comes with the next one. ``taken`` lines came in
    all, the mark as number ``marked``."""

    def __init__(self, mark: LogLine | None, count: int, ends_cut_line: Callable[[LogLine], bool]) -> None:
        self._mark = mark
        self._count = count
        self._ends_cut_line = ends_cut_line
        self._before: deque[LogLine] = deque(maxlen=count + 1)
        self._behind: deque[LogLine] = deque()
        self.size = 0
        self.begins: dict[LogStream, int] = {}
        self.marked = self.taken = 0

    def add(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            self._behind.append(line)
            self.size += len(line.data)
            self.taken += 1
            if self._mark is not None and _is_same(line, self._mark):
                self.marked = len(self._behind)
                self.begins = {}
                self._before.extend(self._behind)
                self._behind.clear()
                self.size = 0

    def forget(self) -> None:
        """Takes it that the console begins among the newest lines, or later."""
        while self.size > USEFUL_BYTES:
            line = self._behind.popleft()
            self._before.append(line)
            self.size -= len(line.data)
            self.begins[line.stream] = self.begins.get(line.stream, 0) + len(line.data)

    def text_of(self, stream: LogStream) -> bytes:
        """Output of the stream behind the mark, and behind the bytes of ``begins``."""
        lines = [line for line in self._behind if line.stream is stream]
        end = [b"\n"] if lines and self._ends_cut_line(lines[-1]) else []
        return b"".join([*(line.data for line in lines), *end])

    def before(self, places: Mapping[LogStream, int]) -> list[LogLine]:
        """The lines of each stream up to its place."""
        lines = list(self._before)
        left = {stream: place - self.begins.get(stream, 0) for stream, place in places.items()}
        for line in self._behind:
            if (rest := left.get(line.stream, 0)) > 0:
                lines.append(line if len(line.data) <= rest else line._replace(data=line.data[:rest]))
                left[line.stream] = rest - len(line.data)
        behind = {line.stream for line in self._behind}
        for stream in [stream for stream, rest in left.items() if rest == 1 or stream not in behind]:
            self._end_cut_line(lines, stream)
        return lines

    def _end_cut_line(self, lines: list[LogLine], stream: LogStream) -> None:
        """Nothing behind the stream's last line brings the newline that it lacks."""
        at = next((at for at in reversed(range(len(lines))) if lines[at].stream is stream), None)
        if at is not None and self._ends_cut_line(lines[at]):
            lines[at] = lines[at]._replace(data=lines[at].data + b"\n")

    def last_before(self, places: Mapping[LogStream, int]) -> Sequence[LogLine]:
        """The last ``count`` of these lines, or fewer where they are long. The beginning of a line that the console
        ends is among them, however far the other stream is ahead."""
        kept, count, size, unended = deque[LogLine](), self._count, 0, set(places)
        for line in reversed(self.before(places)):
            if line.data.endswith(b"\n"):
                unended.discard(line.stream)
                count -= 1
            size += len(line.data)
            if line.stream in unended or (count >= 0 and size <= HISTORY_BYTES):
                kept.appendleft(line)
            elif not unended:
                break
        return kept


def _is_same(line: LogLine, other: LogLine) -> bool:
    """The newline of a part before belongs to the line where that part was read as well."""
    if (line.ts_ns, line.stream) != (other.ts_ns, other.stream):
        return False
    return line.data.lstrip(b"\n") == other.data.lstrip(b"\n")
