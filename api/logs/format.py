"""Records in the files of a log, and the marks of the sender's clock beside them.

A record is a header (crc32, seq, time, stream, length) and its bytes. What is acknowledged has been fsynced; a torn
tail left by a power cut fails its checksum and is cut off, so the sender simply sends those records again.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from gamekeeper.domain.log.log import LogClocks, LogRecord, LogStream
from gamekeeper.errors import UnavailableError

_HEADER = struct.Struct(">IQqBI")
_CLOCK = struct.Struct(">Qq")
CLOCK_BYTES = _CLOCK.size
MAX_RECORD_BYTES = 8 * 1024 * 1024


def stored_size(record: LogRecord) -> int:
    return _HEADER.size + len(record.data)


def encode(records: Sequence[LogRecord]) -> bytes:
    return b"".join([part for record in records for part in _encode(record)])


def _encode(record: LogRecord) -> tuple[bytes, bytes]:
    """The header, which begins with the sum of all that follows, and the data."""
    seq, stream, ts_ns, data = record
    head = _HEADER.pack(0, seq, ts_ns, stream, len(data))
    return zlib.crc32(data, zlib.crc32(head[4:])).to_bytes(4, "big") + head[4:], data


def records_of(file: BinaryIO, offset: int) -> Iterator[tuple[LogRecord, int]]:
    """The good records from an offset on, each with the offset of its end."""
    file.seek(offset)
    while True:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        crc, seq, ts_ns, stream, length = _HEADER.unpack(header)
        data = file.read(length) if length <= MAX_RECORD_BYTES else b""
        if len(data) < length or zlib.crc32(header[4:] + data) != crc:
            return
        offset += _HEADER.size + length
        yield LogRecord(seq, LogStream(stream), ts_ns, data), offset


def write_at(path: Path, offset: int, data: bytes) -> None:
    """Returns when the data is on the disk for good, and the name of a new file as well."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "r+b" if path.exists() else "w+b") as file:
            file.seek(offset)
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        if offset == 0:
            for folder in (path.parent, path.parent.parent):
                _sync_folder(folder)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = f"the disk of {path.parent} is full" if full else f"{path}: {error.strerror}"
        raise UnavailableError(f"logs can't be kept: {what}", hint="free space there; agents send again") from error


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_clock(log: Path, clocks: LogClocks, seq: int, offset_ns: int) -> LogClocks:
    """Writes a clock before its records. Where those do not follow, a later record stands for the same seq."""
    marks = [mark for mark in clocks.marks if mark[0] < seq]
    write_at(_clock_path(log), len(marks) * _CLOCK.size, _CLOCK.pack(seq, offset_ns))
    return LogClocks([*marks, (seq, offset_ns)])


def read_clocks(log: Path) -> LogClocks:
    clock = _clock_path(log)
    data = clock.read_bytes() if clock.exists() else b""
    whole = len(data) - len(data) % _CLOCK.size  # a torn last record is written again
    return LogClocks(list(_CLOCK.iter_unpack(data[:whole])))


def _clock_path(log: Path) -> Path:
    return log.with_suffix(".clock")
