"""The place in a container's log at which a console goes on that was attached, so that no byte is lost or shown twice.

Docker hands each piece of output to the log first and then to all who are attached. It tells neither where in the log
somebody began to be attached, nor a time for what they read. So both are read at once, and the place is found by what
they say: the log, behind a line that was in it before the attach, has the beginning of the console in it.

The log has whole lines alone, a little later than the console. So the console's first line is waited for in the log. An
answer that could be another one with what is still on its way, as with lines that are like each other, has to stay the
same for a while. On a machine that is held up, time passes and nothing comes: so a few bytes that are the same count
only where they are all that the console has, and an answer that only stayed the same is looked at until the other
stream has its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HEAD_BYTES = 256 * 1024
PROBE_BYTES = 4 * 1024
CERTAIN_BYTES = 256
QUIET_SECONDS = 0.25  # in which a line gets from the process to the log, and what is attached to its reader
QUIET_LOOKS = 5  # at least: on a machine that is held up, time passes without anybody getting anywhere
MAX_TRIES = 200


@dataclass
class StreamSeam:
    """The seam of one stream. ``head`` is the beginning of what the console had, of ``came`` bytes. ``place`` counts
    the bytes of the followed log that the console does not have: an answer that is the same ``since`` a time, in so
    many ``looks``. ``is_sure`` where nothing that comes can change the place."""

    since: float
    head: bytearray = field(default_factory=bytearray)
    came: int = 0
    place: int | None = 0
    looks: int = 0
    is_certain: bool = False
    is_sure: bool = False

    def add(self, data: bytes) -> None:
        self.came += len(data)
        self.head += data[: HEAD_BYTES - len(self.head)]

    @property
    def has_line(self) -> bool:
        """True when the log will have some of the head."""
        return b"\n" in self.head or len(self.head) == HEAD_BYTES

    def look(self, text: bytes, begin: int, now: float, *, ended: bool) -> None:
        """Looks for the place in the text that the log has at this moment, behind ``begin`` bytes."""
        head = bytes(self.head)
        if ended and head and not self.has_line:
            head += b"\n"  # as the log ends the last line
        found: int | None = len(text)
        is_enough = True
        if b"\n" in head or len(head) >= HEAD_BYTES:
            found, self.is_sure = find_place(text, head, len(text) - self.came)
            same = len(text) - (found or 0)
            is_enough = same >= min(CERTAIN_BYTES, len(head[: head.rfind(b"\n") + 1] or head))
        place = begin + found if found is not None else None
        if place != self.place:
            self.place, self.since, self.looks = place, now, 0
        self.looks += 1
        is_quiet = now - self.since >= QUIET_SECONDS and self.looks >= QUIET_LOOKS
        self.is_certain = place is not None and (self.is_sure or (is_quiet and is_enough))

    def guess(self, text: bytes, begin: int) -> int:
        """The most probable place where none was certain."""
        if self.place is not None:
            return self.place
        head = bytes(self.head)
        common = (size for size in range(min(len(head), len(text)), 0, -1) if text.endswith(head[:size]))
        return begin + len(text) - next(common, 0)


def find_place(text: bytes, head: bytes, expected: int) -> tuple[int | None, bool]:
    """The place at which text and head say the same, for as long as both go, that is nearest to the expected one; and
    whether there can be no other."""
    expected = max(0, min(expected, len(text)))
    lines = head[: (head.rfind(b"\n", 0, PROBE_BYTES) + 1) or PROBE_BYTES]
    first = lines[: lines.find(b"\n") + 1] or lines
    for probe in (lines, first):  # the log may not have them all yet
        found = (_last_place(text, head, probe, expected), _first_place(text, head, probe, expected + 1))
        if places := [place for place in found if place is not None]:
            place = min(places, key=lambda place: abs(place - expected))
            same = min(len(text) - place, len(head))
            return place, same >= CERTAIN_BYTES and len(places) == 1 and text.count(probe) == 1
    return None, False


def _last_place(text: bytes, head: bytes, probe: bytes, until: int) -> int | None:
    for _ in range(MAX_TRIES):
        place = text.rfind(probe, 0, until + len(probe))
        if place < 0 or _agree(text, head, place):
            return place if place >= 0 else None
        until = place - 1
        if until < 0:
            return None
    return None


def _first_place(text: bytes, head: bytes, probe: bytes, begin: int) -> int | None:
    for _ in range(MAX_TRIES):
        place = text.find(probe, begin)
        if place < 0 or _agree(text, head, place):
            return place if place >= 0 else None
        begin = place + 1
    return None


def _agree(text: bytes, head: bytes, place: int) -> bool:
    size = min(len(text) - place, len(head))
    return text[place : place + size] == head[:size]
