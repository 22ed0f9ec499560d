"""Lines of a log packed into one record. They are kept as they came and taken apart by who reads them: what has to be
done for each line on its way is what bounds how fast logs go.

The record has the number of its last line. Its data: how many lines (u32), then of each the time (i64, nanoseconds),
the stream (u8), the length (u32) and the bytes; big-endian.
"""

from __future__ import annotations

import struct

from gamekeeper.domain.log import LogGap, LogRecord, LogStream
from gamekeeper.errors import InvalidError

_COUNT = struct.Struct(">I")
_LINE = struct.Struct(">qBI")
_STREAMS = {int(stream): stream for stream in (LogStream.STDOUT, LogStream.STDERR)}


class LinePacker:
    """``size`` in bytes of the lines that are in it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._newest_ns = 0
        self.size = 0

    def add(self, stream: LogStream, ts_ns: int, data: bytes) -> None:
        length = len(data)
        self._parts += (_LINE.pack(ts_ns, stream, length), data)
        self._newest_ns = ts_ns
        self.size += _LINE.size + length

    def record(self, last_seq: int) -> LogRecord:
        count = _COUNT.pack(len(self._parts) // 2)
        return LogRecord(last_seq, LogStream.LINES, self._newest_ns, b"".join((count, *self._parts)))


def first_seq(record: LogRecord) -> int:
    """The first number that a record stands for. Raises InvalidError for what was never made here."""
    if record.stream is LogStream.LINES:
        return record.seq - _count(record) + 1
    return LogGap.decode(record.data).first if record.stream is LogStream.GAP else record.seq


def check_pack(record: LogRecord) -> None:
    """Looks at the count alone, in no time. Raises InvalidError."""
    count = _count(record)
    if not 1 <= count <= record.seq or _COUNT.size + count * _LINE.size > len(record.data):
        raise InvalidError(f"log record {record.seq} can't have {count} lines in {len(record.data)} bytes")


def unpack(record: LogRecord) -> list[LogRecord]:
    """The lines of a record. Raises InvalidError where they do not add up."""
    data, place = record.data, _COUNT.size
    seq, lines = first_seq(record), []
    try:
        for number in range(seq, record.seq + 1):
            ts_ns, stream, length = _LINE.unpack_from(data, place)
            place += _LINE.size
            lines.append(LogRecord(number, _STREAMS[stream], ts_ns, data[place : place + length]))
            place += length
    except (struct.error, KeyError) as error:
        raise InvalidError(f"the lines {seq} to {record.seq} can't be told apart") from error
    if place != len(data):
        raise InvalidError(f"the lines {seq} to {record.seq} are not {len(data)} bytes long")
    return lines


def readable(record: LogRecord) -> list[LogRecord]:
    """What a record says to who reads the log: its lines, or that they are lost."""
    if record.stream is not LogStream.LINES:
        return [record]
    try:
        return unpack(record)
    except InvalidError as error:
        gap = LogGap(first_seq(record), record.seq, error.message)
        return [LogRecord(record.seq, LogStream.GAP, record.ts_ns, gap.encode())]


def _count(record: LogRecord) -> int:
    if len(record.data) < _COUNT.size:
        raise InvalidError(f"log record {record.seq} does not say how many lines it has")
    return int(_COUNT.unpack_from(record.data)[0])
