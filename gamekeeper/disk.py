"""Room on a disk.

A full disk ends nothing that runs, but new work waits for room, so the supervisor, ``gamekeeper status`` and the api
tell of it. Room is looked at rather than probed: a small write may find the last few bytes and say that all is well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gamekeeper.errors import UnavailableError

FULL_BYTES = 1024 * 1024  # with less than this, databases and logs are refused their next write


@dataclass(frozen=True)
class DiskRoom:
    """Free and total bytes at ``path``. ``is_full`` also counts a file system that has no inode left."""

    path: Path
    free_bytes: int
    total_bytes: int
    is_full: bool

    def __str__(self) -> str:
        free, total = self.free_bytes / 2**20, self.total_bytes / 2**20
        return f"the disk of {self.path} is full ({free:.1f} of {total:.0f} MiB are free)"


@dataclass(frozen=True)
class DiskFloor:
    """Room that is left to what has to go on, as outcomes and cancels, on the disks of ``paths``. On a small disk it is
    a twentieth of that."""

    paths: Sequence[Path]
    free_bytes: int

    def trouble(self) -> str:
        """Names a disk that has less; empty where all have it."""
        for path in self.paths:
            room = nearest_room(path)
            if room.is_full:
                return str(room)
            if room.free_bytes < min(self.free_bytes, room.total_bytes // 20):
                free = f"{room.free_bytes / 2**20:.0f} of {room.total_bytes / 2**20:.0f} MiB are free"
                return f"the disk of {room.path} is nearly full ({free}, and the rest is for what has to go on)"
        return ""


def disk_room(path: Path) -> DiskRoom:
    """Raises OSError when there is no such path."""
    found = os.statvfs(path)
    free = found.f_bavail * found.f_frsize
    has_inodes = found.f_files == 0 or found.f_favail > 0  # some file systems make inodes as they need them
    return DiskRoom(path, free, found.f_blocks * found.f_frsize, free < FULL_BYTES or not has_inodes)


def nearest_room(path: Path) -> DiskRoom:
    """The room for ``path``, which need not exist yet."""
    while not path.exists():
        path = path.parent
    return disk_room(path)


def full_disk(message: str) -> UnavailableError:
    return UnavailableError(message, hint="free space there; it goes on by itself", code="disk_full")
