"""Reads out of its files where a log stands, for an agent that has lost its spool."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import takewhile

from api.logs.format import records_of, tail_offset
from api.logs.segments import Segment
from gamekeeper.domain.log.log import LogRecord, LogStream
from gamekeeper.domain.log.log_pack import unpack
from gamekeeper.domain.log.log_place import LogPlace, NewestLine, digest_of

TAIL_BYTES = 12 * 1024 * 1024  # more than the largest record
_LINES = (LogStream.STDOUT, LogStream.STDERR)


def read_place(segments: Sequence[Segment], last_seq: int, ended: bool) -> LogPlace:
    """The newest line is that of the last segment which has any. What is missing by then is not looked for."""
    newest: LogRecord | None = None
    for segment in reversed(segments):
        records = _tail(segment)
        newest = newest or (records[-1] if records else None)
        lines = [line for record in records for line in unpack(record) if line.stream in _LINES]
        if newest is not None and lines:
            found = _newest_line(lines, _first_ns(segments[0]))
            return LogPlace(last_seq, ended, digest_of(newest), found)
    return LogPlace(last_seq, ended, digest_of(newest) if newest else 0)


def _newest_line(lines: Sequence[LogRecord], first_ns: int) -> NewestLine:
    last = lines[-1]
    own = (line.ts_ns for line in reversed(lines) if line.stream is last.stream)
    count = sum(1 for _ in takewhile(lambda ts_ns: ts_ns == last.ts_ns, own))
    latest_ns = max(line.ts_ns for line in lines)
    return NewestLine(last.seq, last.stream, last.ts_ns, count, latest_ns, zlib.crc32(last.data), first_ns)


def _tail(segment: Segment) -> list[LogRecord]:
    """The last records, each once: what was sent twice is in the file twice."""
    found: list[LogRecord] = []
    try:
        with open(segment.path, "rb") as file:
            for record, _ in records_of(file, tail_offset(file, TAIL_BYTES)):
                if not found or record.seq > found[-1].seq:
                    found.append(record)
    except FileNotFoundError:
        return []
    return found


def _first_ns(segment: Segment) -> int:
    if segment.first_seq != 1:
        return 0
    try:
        with open(segment.path, "rb") as file:
            first = next(records_of(file, 0), None)
    except FileNotFoundError:
        return 0
    lines = [line for line in unpack(first[0]) if line.stream in _LINES] if first else []
    return lines[0].ts_ns if lines else 0
