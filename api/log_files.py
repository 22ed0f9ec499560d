"""LogStore on files: one append-only file a log, so that what is kept can be counted after any crash.

A record is a header (crc32, seq, time, stream, length) and its bytes. What is acknowledged has been fsynced; a torn
tail left by a power cut fails its checksum and is cut off, so the sender simply sends those records again. Beside
it lies a file of the sender's clock: a record (seq, offset) for each time that its offset had moved.
"""

from __future__ import annotations

import asyncio
import errno
import os
import struct
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from gamekeeper.domain.log.log import LogClocks, LogEnd, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import first_seq, unpack
from gamekeeper.domain.run.step import StepKey
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.log_store import LogState
from gamekeeper.uncancelled import uncancelled

_HEADER = struct.Struct(">IQqBI")
_CLOCK = struct.Struct(">Qq")
_CLOCK_MOVED_NS = 1_000_000
_READ_BATCH = 500
_READ_BATCH_BYTES = 256 * 1024
MAX_RECORD_BYTES = 8 * 1024 * 1024


@dataclass
class _OpenLog:
    """A log that is being written or followed. ``size`` bytes of the file are good."""

    path: Path
    state: LogState
    size: int
    clocks: LogClocks
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    grown: asyncio.Condition = field(default_factory=asyncio.Condition)


class LogFiles:
    """Files below ``root``: ``<run>/<step>.<try>.log``. One process writes them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[StepKey, _OpenLog] = {}

    async def append(self, key: StepKey, records: Sequence[LogRecord], clock_offset_ns: int = 0) -> int:
        return await uncancelled(self._append(key, records, clock_offset_ns))

    async def _append(self, key: StepKey, records: Sequence[LogRecord], clock_offset_ns: int) -> int:
        log = await self._log(key)
        async with log.lock:
            fresh = _contiguous(log.state.last_seq, records)
            if fresh:
                first = log.state.last_seq + 1
                if abs(clock_offset_ns - log.clocks.offset_ns(first)) > _CLOCK_MOVED_NS:
                    log.clocks = await asyncio.to_thread(_write_clock, log, first, clock_offset_ns)
                await asyncio.to_thread(_write, log, fresh)
                end = next((record for record in fresh if record.stream is LogStream.END), None)
                log.state = LogState(fresh[-1].seq, LogEnd.decode(end.data) if end else log.state.end)
                async with log.grown:
                    log.grown.notify_all()
            return log.state.last_seq

    async def state(self, key: StepKey) -> LogState:
        return (await self._log(key)).state

    async def wait_for_end(self, key: StepKey) -> None:
        log = await self._log(key)
        async with log.grown:
            while log.state.end is None:
                await log.grown.wait()

    async def clocks(self, key: StepKey) -> LogClocks:
        return (await self._log(key)).clocks

    async def read(self, key: StepKey, after_seq: int, *, follow: bool) -> AsyncIterator[Sequence[LogRecord]]:
        log = await self._log(key)
        offset, seen = 0, after_seq
        while True:
            batch, offset = await asyncio.to_thread(_read_batch, log.path, offset, log.size, seen)
            if batch:
                seen = batch[-1].seq
                yield batch
            if offset < log.size:
                continue
            if not follow or log.state.end is not None:
                return
            async with log.grown:
                while offset >= log.size:
                    await log.grown.wait()

    async def _log(self, key: StepKey) -> _OpenLog:
        if key not in self._open:
            path = self._root / key.run_id / f"{key.step}.{key.try_}.log"
            state, size = await asyncio.to_thread(_recover, path)
            clocks = await asyncio.to_thread(_read_clocks, path)
            self._open.setdefault(key, _OpenLog(path, state, size, clocks))
            self._forget_old()
        return self._open[key]

    def _forget_old(self) -> None:
        """Closed logs need no place in memory; reading one again costs one pass over its file."""
        if len(self._open) > 5000:
            for key in [key for key, log in self._open.items() if log.state.end and not log.lock.locked()][:2500]:
                del self._open[key]


def _contiguous(last_seq: int, records: Sequence[LogRecord]) -> list[LogRecord]:
    fresh: list[LogRecord] = []
    for record in sorted(records, key=lambda record: record.seq):
        if record.seq > last_seq and first_seq(record) <= last_seq + 1:
            fresh.append(record)
            last_seq = record.seq
    return fresh


def _write(log: _OpenLog, records: Sequence[LogRecord]) -> None:
    data = b"".join([part for record in records for part in _encode(record)])
    _write_at(log.path, log.size, data)
    log.size += len(data)


def _write_at(path: Path, offset: int, data: bytes) -> None:
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


def _write_clock(log: _OpenLog, seq: int, offset_ns: int) -> LogClocks:
    """Writes a clock before its records. Where those do not follow, a later record stands for the same seq."""
    marks = [mark for mark in log.clocks.marks if mark[0] < seq]
    _write_at(_clock_path(log.path), len(marks) * _CLOCK.size, _CLOCK.pack(seq, offset_ns))
    return LogClocks([*marks, (seq, offset_ns)])


def _clock_path(path: Path) -> Path:
    return path.with_suffix(".clock")


def _read_clocks(path: Path) -> LogClocks:
    clock = _clock_path(path)
    data = clock.read_bytes() if clock.exists() else b""
    whole = len(data) - len(data) % _CLOCK.size  # a torn last record is written again
    return LogClocks(list(_CLOCK.iter_unpack(data[:whole])))


def _encode(record: LogRecord) -> tuple[bytes, bytes]:
    """The header, which begins with the sum of all that follows, and the data."""
    seq, stream, ts_ns, data = record
    head = _HEADER.pack(0, seq, ts_ns, stream, len(data))
    return zlib.crc32(data, zlib.crc32(head[4:])).to_bytes(4, "big") + head[4:], data


def _recover(path: Path) -> tuple[LogState, int]:
    """The state of a file by its good records, and how many bytes those are."""
    state, size = LogState(), 0
    if path.exists():
        with open(path, "rb") as file:
            for record, end in _records(file, 0):
                close = LogEnd.decode(record.data) if record.stream is LogStream.END else state.end
                state, size = LogState(max(record.seq, state.last_seq), close), end
    return state, size


def _records(file: BinaryIO, offset: int) -> Iterator[tuple[LogRecord, int]]:
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


def _read_batch(path: Path, offset: int, size: int, after_seq: int) -> tuple[list[LogRecord], int]:
    """Some records after ``after_seq`` and where to go on; reads no further than the ``size`` good bytes."""
    batch: list[LogRecord] = []
    held = 0
    if offset >= size or not path.exists():
        return batch, size
    with open(path, "rb") as file:
        for record, end in _records(file, offset):
            if end > size:
                break
            offset = end
            if record.seq > after_seq:  # what was sent twice is in the file twice
                batch += [found for found in unpack(record) if found.seq > after_seq]
                after_seq = record.seq
                held += len(record.data)
            if len(batch) >= _READ_BATCH or held >= _READ_BATCH_BYTES:
                break
        else:
            offset = size
    return batch, offset
