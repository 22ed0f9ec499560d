"""The part of a container's log that the server has already, when a new spool reads it once more.

Docker shows its lines in one order, so all up to the server's newest one are known, and all behind it are new. Where
that one does not come, it can't be known what is missing: this is told by a gap, and nothing is dropped any longer.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gamekeeper.domain.log.log import LogEnd, LogStream
from gamekeeper.domain.log.log_place import LogPlace

SPOOL_LOST = "the node's spool of logs was lost, and what the server did not have of it can't be had again"

Item = tuple[LogStream, int, bytes]  # of a gap the data is its reason


@dataclass
class KnownLines:
    """``left`` lines of the newest time are yet to come; 0 once the newest line was passed. ``at_newest`` says that
    nothing came behind it yet, ``lost`` that a gap was told. A log that ``is_whole`` begins with the first line."""

    last_seq: int
    ended: bool
    stream: int = 0
    ts_ns: int = 0
    left: int = 0
    latest_ns: int = 0
    digest: int = 0
    first_ns: int = 0
    seen: int = 0
    is_whole: bool = False
    at_newest: bool = False
    is_passed: bool = False
    lost: bool = False

    @classmethod
    def up_to(cls, place: LogPlace) -> KnownLines:
        if (newest := place.newest) is None:
            return cls(0, place.ended)
        return cls(
            last_seq=newest.seq,
            ended=place.ended,
            stream=int(newest.stream),
            ts_ns=newest.ts_ns,
            left=newest.count,
            latest_ns=newest.latest_ns,
            digest=newest.digest,
            first_ns=newest.first_ns,
        )

    @property
    def is_over(self) -> bool:
        """True when all that comes passes as it is."""
        return self.is_passed and not self.lost and not self.at_newest

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> KnownLines:
        return cls(**json.loads(text))

    def fresh(self, items: Sequence[Item]) -> list[Item]:
        """The items that the server does not have, and before them the gap where one is to be told."""
        return [kept for item in items for kept in self._kept(item)]

    def _kept(self, item: Item) -> list[Item]:
        if self.is_passed:
            return self._behind(item)
        stream, ts_ns, data = item
        if stream is LogStream.GAP:
            return []  # of what the server has, or else ours is told
        if stream is LogStream.END:
            if not self.stream and self.ended:  # an empty log, that was read to its end before
                self.is_passed = True
                return []
        elif self._is_known(stream, ts_ns, data):
            return []
        self.is_passed = self.lost = True
        return [(LogStream.GAP, ts_ns, SPOOL_LOST.encode()), *self._behind(item)]

    def _behind(self, item: Item) -> list[Item]:
        stream, ts_ns, data = item
        is_next, self.at_newest = self.at_newest, False
        if stream is LogStream.END:
            if is_next and self.ended:
                return []
            if self.lost and LogEnd.decode(data).complete:
                return [(stream, ts_ns, LogEnd(False, SPOOL_LOST).encode())]
        return [item]

    def _is_known(self, stream: LogStream, ts_ns: int, data: bytes) -> bool:
        if not self.seen:
            self.is_whole = 0 < self.first_ns == ts_ns
        self.seen += 1
        if stream == self.stream and ts_ns == self.ts_ns:
            self.left -= 1
            if self.left <= 0 and zlib.crc32(data) != self.digest:
                return False  # some of those that share its time are gone
            self.is_passed = self.at_newest = self.left <= 0
            return True
        # A clock that was set back gave older lines later times than the newest have.
        return bool(self.stream) and (ts_ns <= self.latest_ns or (self.is_whole and self.seen < self.last_seq))
