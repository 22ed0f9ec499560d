"""The place at which the server's copy of a log stands, told to an agent whose spool knows nothing of it.

A spool that was lost numbers its logs from 1 again. By the server's newest line it finds out which of the lines that it
reads once more are known, and where the numbers go on.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from gamekeeper.domain.log.log import LogRecord, LogStream

_HEAD = struct.Struct(">Bq")


@dataclass(frozen=True, slots=True)
class NewestLine:
    """``digest`` is the crc32 of its bytes. ``count`` lines of its stream in a row have its time, up to itself. None of
    the newest lines is later than ``latest_ns``. The log's first line has the time ``first_ns``; 0 where it is not
    known."""

    seq: int
    stream: LogStream
    ts_ns: int
    count: int
    latest_ns: int
    digest: int
    first_ns: int = 0


@dataclass(frozen=True, slots=True)
class LogPlace:
    """``digest`` is that of the record ``last_seq``; ``ended`` when this is an end. ``newest`` is None for a log of
    which no line is left."""

    last_seq: int
    ended: bool = False
    digest: int = 0
    newest: NewestLine | None = None


def digest_of(record: LogRecord) -> int:
    """By which a sender knows a record as its own. It is the same whatever the number."""
    return zlib.crc32(record.data, zlib.crc32(_HEAD.pack(record.stream, record.ts_ns)))
