"""The files of a log: segments, each named after the first record that it may hold.

A log begins in ``<name>.log``; a later segment is ``<name>@<number of its first record>.log``. When the oldest is
dropped, the name of the next tells for ever how much is missing before it, without another write.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from api.logs.format import TEMPORARY, records_of, write_new
from gamekeeper.domain.log.log import LogRecord
from gamekeeper.domain.log.log_pack import unpack

SUFFIX = ".log"
COPIED_BYTES = 1024 * 1024
_READ_BATCH = 500
_READ_BATCH_BYTES = 256 * 1024


@dataclass(frozen=True)
class Segment:
    """``start`` is the place of its first byte, counted over all segments of the log since this process opened it."""

    path: Path
    first_seq: int
    start: int


def segment_path(log: Path, first_seq: int) -> Path:
    """``log`` is the path of the first segment."""
    return log if first_seq == 1 else log.with_name(f"{log.stem}@{first_seq}{SUFFIX}")


def parse_name(name: str) -> tuple[str, int] | None:
    """The name of the log's first segment, and the first record of this one; None for another file."""
    stem, at, number = name.removesuffix(SUFFIX).partition("@")
    if not name.endswith(SUFFIX) or (at and not (number.isascii() and number.isdecimal())):
        return None
    return stem + SUFFIX, int(number) if at else 1


def place_of(segments: Sequence[Segment], after_seq: int) -> int:
    """The place from which to read for the records after one."""
    return max((each.start for each in segments if each.first_seq <= after_seq + 1), default=segments[0].start)


def read_batch(segments: Sequence[Segment], place: int, size: int, after_seq: int) -> tuple[list[LogRecord], int]:
    """Some records after ``after_seq`` and where to go on; reads no further than the ``size`` good bytes. A segment
    that was dropped meanwhile, or whose rest is torn, is passed over."""
    segment, end = _segment_at(segments, place, size)
    batch: list[LogRecord] = []
    if place >= end:
        return batch, end
    held = 0
    try:
        with open(segment.path, "rb") as file:
            for record, reached in records_of(file, place - segment.start):
                if segment.start + reached > end:
                    break
                place = segment.start + reached
                if record.seq > after_seq:  # what was sent twice is in the file twice
                    batch += [found for found in unpack(record) if found.seq > after_seq]
                    after_seq = record.seq
                    held += len(record.data)
                if len(batch) >= _READ_BATCH or held >= _READ_BATCH_BYTES:
                    break
            else:
                place = end
    except FileNotFoundError:
        place = end
    return batch, place


def copy_tail(log: Path, segment: Segment, keep: int) -> tuple[Segment, int] | None:
    """Makes a segment of the last ``keep`` bytes of another one, as far as they begin a record; with its length. None
    where there is no such record. A kill leaves no part of it that would pass for the log's end."""
    if not segment.path.exists():
        return None
    with open(segment.path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        for record, end in records_of(file, 0):
            if size - end > keep or end == size:
                continue
            found = Segment(segment_path(log, record.seq + 1), record.seq + 1, segment.start + end)
            file.seek(end)
            write_new(found.path, log.with_suffix(TEMPORARY), iter(partial(file.read, COPIED_BYTES), b""))
            return found, size - end
    return None


def _segment_at(segments: Sequence[Segment], place: int, size: int) -> tuple[Segment, int]:
    """The segment of a place, and the end of its bytes."""
    for segment, following in pairwise(segments):
        if place < following.start:
            return segment, following.start
    return segments[-1], size
