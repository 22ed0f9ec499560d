"""Records in the files of a log, and the marks of the sender's clock beside them.

A record is a header (crc32, seq, time, stream, length) and its bytes. What is acknowledged has been fsynced; a torn
tail left by a power cut fails its checksum and is cut off, so the sender simply sends those records again.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gamekeeper.domain.log.log import LogClocks, LogRecord, LogStream
from gamekeeper.errors import UnavailableError

_HEADER = struct.Struct(">IQqBI")
_CLOCK = struct.Struct(">Qq")
CLOCK_BYTES = _CLOCK.size
TEMPORARY = ".new"
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


def tail_offset(file: BinaryIO, keep: int) -> int:
    """The offset of the first record of the last ``keep`` bytes. It reads headers alone: all were checked before."""
    size, offset = os.fstat(file.fileno()).st_size, 0
    while offset < size - keep:
        file.seek(offset)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            break
        offset += _HEADER.size + _HEADER.unpack(header)[4]
    return offset


class LostFileError(UnavailableError):
    """The file of a log is not as long as it was: somebody has removed or cut it."""


def write_at(path: Path, offset: int, data: bytes) -> None:
    """Returns when the data is on the disk for good, and the name of a new file as well. Raises LostFileError where the
    bytes before ``offset`` are not there: what is behind a hole is never read."""
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(path, "r+b" if offset or path.exists() else "w+b") as file:
                if os.fstat(file.fileno()).st_size < offset:
                    raise FileNotFoundError
                file.seek(offset)
                file.write(data)
                file.flush()
                os.fdatasync(file.fileno())
        except FileNotFoundError as error:
            raise LostFileError(f"logs can't be kept: {path} was removed or cut", hint="agents send again") from error
        if offset == 0:
            for folder in (path.parent, path.parent.parent):
                _sync_folder(folder)


def append_to(path: Path, data: bytes) -> None:
    """Returns when the data is at the end of the file for good."""
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with open(path, "ab") as file:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        if is_new:
            for folder in (path.parent, path.parent.parent):
                _sync_folder(folder)


def write_new(path: Path, temporary: Path, pieces: Iterator[bytes]) -> None:
    """Makes or replaces a file in one step: a kill leaves ``temporary`` at the most."""
    with _told(path):
        try:
            with open(temporary, "wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
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


def keep_clocks(log: Path, clocks: LogClocks, first_seq: int) -> LogClocks:
    """Lets the marks go that no record from ``first_seq`` on needs, when they are half of all."""
    needless = bisect_right(clocks.marks, first_seq, key=lambda mark: mark[0]) - 1
    if needless <= len(clocks.marks) // 2:
        return clocks
    marks, path = clocks.marks[needless:], _clock_path(log)
    write_new(path, path.with_suffix(TEMPORARY), iter([b"".join(_CLOCK.pack(*mark) for mark in marks)]))
    return LogClocks(marks)


def read_clocks(log: Path) -> LogClocks:
    clock = _clock_path(log)
    data = clock.read_bytes() if clock.exists() else b""
    whole = len(data) - len(data) % _CLOCK.size  # a torn last record is written again
    return LogClocks(list(_CLOCK.iter_unpack(data[:whole])))


def drop_clocks(log: Path) -> None:
    _clock_path(log).unlink(missing_ok=True)


def _clock_path(log: Path) -> Path:
    return log.with_suffix(".clock")
