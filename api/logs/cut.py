"""A run's log beyond its quota: it ends with a record of what is missing, which grows in its place, and its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.logs.format import stored_size
from gamekeeper.domain.log.log import LogEnd, LogGap, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import first_seq

OVER = "the logs of the run are over their quota (GAMEKEEPER_LOG_RUN_BYTES), and further lines are not kept"


@dataclass(frozen=True)
class OpenGap:
    """A gap at the end of a log that grows with each line that is not kept. ``place`` is where its record begins."""

    place: int
    gap: LogGap
    ts_ns: int

    @classmethod
    def of(cls, place: int, newest: LogRecord) -> OpenGap | None:
        """None for another record than such a gap."""
        if newest.stream is not LogStream.GAP or (gap := LogGap.decode(newest.data)).reason != OVER:
            return None
        return cls(place, gap, newest.ts_ns)

    def grown(self, record: LogRecord) -> OpenGap:
        return OpenGap(self.place, LogGap(self.gap.first, record.seq, OVER), record.ts_ns)

    @property
    def record(self) -> LogRecord:
        return LogRecord(self.gap.last, LogStream.GAP, self.ts_ns, self.gap.encode())


@dataclass(frozen=True)
class Cut:
    """The records to write from ``place`` on; ``open_gap`` is the last of them, if the log ends with one."""

    place: int
    records: Sequence[LogRecord]
    open_gap: OpenGap | None = None
    dropped_bytes: int = 0

    @property
    def size(self) -> int:
        return sum([stored_size(record) for record in self.records])

    @property
    def keeps(self) -> bool:
        """False when all that is written is what is missing."""
        return self.open_gap is None or len(self.records) > 1


def cut(size: int, last_seq: int, gap: OpenGap | None, fresh: Sequence[LogRecord], room: int) -> Cut:
    """Decides on new records behind ``last_seq`` and the ``size`` bytes of a log that ends with ``gap``, when ``room``
    bytes may be added."""
    place = end = gap.place if gap is not None else size
    kept: list[LogRecord] = []
    dropped = 0
    for record in fresh:
        is_end = record.stream is LogStream.END
        if not is_end and (gap is not None or stored_size(record) > room):
            first = max(first_seq(record), last_seq + 1)
            gap = (gap or OpenGap(end, LogGap(first, record.seq, OVER), 0)).grown(record)
            room, dropped, last_seq = 0, dropped + len(record.data), record.seq
            continue
        if gap is not None:
            kept.append(gap.record)
            end += stored_size(gap.record)
            gap, record = None, record._replace(data=LogEnd(False, OVER).encode())
        kept.append(record)
        last_seq = record.seq
        end += stored_size(record)
        room -= stored_size(record)
    if gap is not None:
        kept.append(gap.record)
    return Cut(place, kept, gap, dropped)
