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
FREE_INODES = 10_000  # few of them are needed by what goes on, and a fleet's logs come with many at once


@dataclass(frozen=True)
class DiskRoom:
    """Free and total bytes at ``path``. ``is_full`` also counts a file system that has no inode left; one that makes
    inodes as it needs them has none in all."""

    path: Path
    free_bytes: int
    total_bytes: int
    is_full: bool
    free_inodes: int = 0
    total_inodes: int = 0

    def __str__(self) -> str:
        free, total = self.free_bytes / 2**20, self.total_bytes / 2**20
        return f"the disk of {self.path} is full ({free:.1f} of {total:.0f} MiB are free)"


@dataclass(frozen=True)
class DiskFloor:
    """Room that is left to what has to go on, as outcomes and cancels, on the disks of ``paths``. On a small disk it is
    a twentieth of that. Files need inodes as well: many small logs can take the last of them on a disk with room."""

    paths: Sequence[Path]
    free_bytes: int

    def trouble(self, more_bytes: int = 0, *, is_low: bool = False) -> str:
        """Names a disk that has less, or would have it with ``more_bytes`` on it; empty where all have it. One that
        ``is_low`` has it again with an eighth more, or it would be told again and again."""
        for path in self.paths:
            room = nearest_room(path)
            if room.is_full:
                return str(room)
            free, wanted = "", min(self.free_bytes, room.total_bytes // 20)
            if room.free_bytes - more_bytes < wanted + is_low * wanted // 8:
                free = f"{room.free_bytes / 2**20:.0f} of {room.total_bytes / 2**20:.0f} MiB are free"
            elif self.free_bytes and room.total_inodes and room.free_inodes < min(FREE_INODES, room.total_inodes // 20):
                free = f"{room.free_inodes:,} of {room.total_inodes:,} inodes are free"
            if free:
                return f"the disk of {room.path} is nearly full ({free}, and the rest is for what has to go on)"
        return ""


def disk_room(path: Path) -> DiskRoom:
    """Raises OSError when there is no such path."""
    found = os.statvfs(path)
    free = found.f_bavail * found.f_frsize
    has_inodes = found.f_files == 0 or found.f_favail > 0
    is_full = free < FULL_BYTES or not has_inodes
    return DiskRoom(path, free, found.f_blocks * found.f_frsize, is_full, found.f_favail, found.f_files)


def nearest_room(path: Path) -> DiskRoom:
    """The room for ``path``, which need not exist yet."""
    while not path.exists():
        path = path.parent
    return disk_room(path)


def full_disk(message: str) -> UnavailableError:
    return UnavailableError(message, hint="free space there; it goes on by itself", code="disk_full")
