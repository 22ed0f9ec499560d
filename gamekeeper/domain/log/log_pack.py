"""Lines of a log packed into one record. They are kept as they came, and readers take them apart: work on each single
line on its way would bound the speed of logs.

The record has the number of its last line. Its data: how many lines (u32), then of each the time (i64, nanoseconds),
the stream (u8), the length (u32) and the bytes; big-endian.
"""

from __future__ import annotations

import struct

from gamekeeper.domain.log.log import LogGap, LogRecord, LogStream
from gamekeeper.errors import InvalidError

MAX_LINES = 65_536
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
    """The first number that a record stands for."""
    if record.stream is LogStream.LINES:
        return record.seq - _count(record) + 1
    return LogGap.decode(record.data).first if record.stream is LogStream.GAP else record.seq


def check_pack(record: LogRecord) -> None:
    """Checks that the lines add up, so that every record that is kept can be read later. Raises InvalidError."""
    data, size, count, place = record.data, len(record.data), _count(record), _COUNT.size
    if not 1 <= count <= min(record.seq, MAX_LINES):
        raise InvalidError(f"log record {record.seq} can't have {count} lines; a pack has at most {MAX_LINES}")
    for _ in range(count):
        if place + _LINE.size > size:
            break
        _, stream, length = _LINE.unpack_from(data, place)
        if stream not in _STREAMS:
            raise InvalidError(f"log record {record.seq} has a line of stream {stream}")
        place += _LINE.size + length
    else:
        if place == size:
            return
    raise InvalidError(f"the {count} lines of log record {record.seq} are not {size} bytes long")


def unpack(record: LogRecord) -> list[LogRecord]:
    """The lines of a record that was checked; any other record is its own line."""
    if record.stream is not LogStream.LINES:
        return [record]
    data, place, lines = record.data, _COUNT.size, []
    for seq in range(first_seq(record), record.seq + 1):
        ts_ns, stream, length = _LINE.unpack_from(data, place)
        place += _LINE.size
        lines.append(LogRecord(seq, _STREAMS[stream], ts_ns, data[place : place + length]))
        place += length
    return lines


def _count(record: LogRecord) -> int:
    if len(record.data) < _COUNT.size:
        raise InvalidError(f"log record {record.seq} does not say how many lines it has")
    return int(_COUNT.unpack_from(record.data)[0])
