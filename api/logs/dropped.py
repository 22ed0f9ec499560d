"""The rest of logs that made room as a whole: a line for each, many in one file.

A file for each would keep the room of a small log for ever, and a node with many of them could never write again.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from api.logs.format import append_to
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogEnd

FOLDER = "dropped"  # no run has this id
_ENDS = {b"open": None, b"complete": LogEnd(True), b"incomplete": LogEnd(False, "its lines made room for newer ones")}


@dataclass(frozen=True)
class DroppedLog:
    """``end`` is the end that it had by then."""

    last_seq: int
    end: LogEnd | None


def note_dropped(root: Path, key: ContainerKey, last_seq: int, end: LogEnd | None) -> None:
    """Returns when the line is on the disk for good. Each begins with a line's end: a kill may have torn the one
    before."""
    word = b"open" if end is None else b"complete" if end.complete else b"incomplete"
    append_to(_path(root, key), b"\n%s %d %s\n" % (str(key).encode(), last_seq, word))


def find_dropped(root: Path, key: ContainerKey) -> DroppedLog | None:
    """The newest line on a log; None for one that was never dropped as a whole."""
    try:
        data = _path(root, key).read_bytes()
    except FileNotFoundError:
        return None
    begin = b"\n%s " % str(key).encode()
    place = len(data)
    while (place := data.rfind(begin, 0, place)) >= 0:
        line, is_whole, _ = data[place + 1 :].partition(b"\n")
        words = line.split(b" ")
        if is_whole and len(words) == 3 and words[1].isdigit() and words[2] in _ENDS:
            return DroppedLog(int(words[1]), _ENDS[words[2]])
    return None


def _path(root: Path, key: ContainerKey) -> Path:
    return root / FOLDER / f"{zlib.crc32(str(key).encode()) % 256:02x}"
