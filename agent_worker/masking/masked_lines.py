"""Masks the lines of a container's log, so that reading it can begin again behind any line that was kept.

A line is masked by itself: no more lines and no fewer come of them, with the same times. The engine cuts a long line
into parts, and a value may lie across a cut. So parts at the end of what was read are kept back while more may belong
to them, with all lines behind them: they count as not read. A part in which a value ends that began before it is never
the first that is read again.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

from agent_worker.masking.forms import MIN_BYTES
from agent_worker.masking.masker import MASK, Masker, united
from gamekeeper.domain.log.log import LogLine, LogStream

HELD_BYTES = 1024 * 1024
HELD_SECONDS = 2.0  # in which the other parts of a line come, where there are any
Lines = Sequence[LogLine]


class MaskedLines:
    """``held`` lines were taken and are kept back. ``begin`` forgets them: they are read again."""

    def __init__(self, masker: Masker | None) -> None:
        self.masker = masker
        self.held: Lines = ()
        self._held_from = 0.0
        self._cuts: dict[LogStream, bytes] = {}

    def begin(self) -> None:
        self.held = ()

    def take(self, lines: Lines) -> tuple[Lines, Lines]:
        """The lines that can be kept now, as they are and masked. ``lines`` begin with those that are held."""
        if self.masker is None:
            return lines, lines
        if self.held and self._is_held_long():
            self.held = lines
            return self.settle()
        texts = self._texts(self.masker, lines)
        count = _settled(lines, texts)
        if not self.held:
            self._held_from = time.monotonic()
        self.held = lines[count:]
        for stream in {line.stream for line in lines[:count]} if self._cuts else ():
            self._cuts.pop(stream, None)
        return lines[:count], _shown(lines, texts)[:count]

    def _is_held_long(self) -> bool:
        """True when the other stream may not wait any longer for the end of a line of this one."""
        size = sum(len(line.data) for line in self.held)
        return size > HELD_BYTES or time.monotonic() - self._held_from > HELD_SECONDS

    def settle(self) -> tuple[Lines, Lines]:
        """All that is held, because no more may come. What may be the beginning of a value is masked, unless it is so
        short that it says little; if more comes all the same, the value is masked in that."""
        lines, self.held = self.held, ()
        if self.masker is None or not lines:
            return lines, lines
        texts = self._texts(self.masker, lines)
        for text in texts:
            self._cuts[text.stream] = text.cut()
        return lines, _shown(lines, texts)

    def _texts(self, masker: Masker, lines: Lines) -> list[_Text]:
        streams = {line.stream for line in lines}
        return [_Text(masker, lines, stream, self._cuts.get(stream, b"")) for stream in streams]


class _Text:
    """The lines of one stream as one text. It begins with the end of an earlier one, that was settled ``before``."""

    def __init__(self, masker: Masker, lines: Lines, stream: LogStream, before: bytes) -> None:
        self.stream = stream
        self._begin = len(before)
        self._places = [index for index, line in enumerate(lines) if line.stream is stream]
        self._pieces = [lines[index].data for index in self._places]
        self._data = before + b"".join(self._pieces)
        self._spans = [span for span in masker.spans(self._data) if span[1] > self._begin]
        self._tail = masker.tail(self._data)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(map(len, self._pieces), initial=self._begin))[1:]

    def cut(self) -> bytes:
        """Masks what may be the beginning of a value, and returns it."""
        tail, size = self._tail, len(self._data)
        if size - tail >= MIN_BYTES:
            self._spans = united([*self._spans, (tail, size)])
        self._tail = size
        return self._data[tail:]

    def masked(self) -> dict[int, bytes]:
        """The lines in which something is masked, by their places. A run over several of them is shown in the first."""
        cuts: dict[int, list[tuple[int, int, bytes]]] = {}
        for begin, end in self._spans:
            begin, word = max(begin, self._begin), MASK
            at = bisect_right(self._ends, begin)
            while begin < end:
                stop = min(end, self._ends[at])
                cuts.setdefault(at, []).append((begin, stop, word))
                begin, word, at = stop, b"", at + 1
        return {self._places[at]: self._without(at, of_line) for at, of_line in cuts.items()}

    def _without(self, at: int, cuts: Sequence[tuple[int, int, bytes]]) -> bytes:
        pieces, place = [], self._ends[at - 1] if at else self._begin
        for begin, end, word in cuts:
            pieces += [self._data[place:begin], word]
            place = end
        return b"".join([*pieces, self._data[place : self._ends[at]]])

    def unsettled(self) -> set[int]:
        """The places of the lines behind which reading can't begin again: a value may lie across their end."""
        if self._tail == len(self._data) and not self._spans:
            return set()
        found = set(self._places[bisect_right(self._ends, self._tail) :])
        for begin, end in self._spans:
            found.update(self._places[bisect_right(self._ends, begin) : bisect_left(self._ends, end)])
        return found


def _shown(lines: Lines, texts: Sequence[_Text]) -> Lines:
    masked = {place: data for text in texts for place, data in text.masked().items()}
    if not masked:
        return lines
    shown = list(lines)
    for place, data in masked.items():
        shown[place] = shown[place]._replace(data=data)
    return shown


def _settled(lines: Lines, texts: Sequence[_Text]) -> int:
    """The number of lines before the first place behind which some stream is unsettled."""
    unsettled = set().union(*(text.unsettled() for text in texts))
    if not unsettled:
        return len(lines)
    count, streams = 0, set[LogStream]()
    for place, line in enumerate(lines):
        (streams.add if place in unsettled else streams.discard)(line.stream)
        if not streams:
            count = place + 1
    return count
