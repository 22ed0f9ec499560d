"""Room on the disk of the state directory.

A full disk ends nothing that runs, but new work waits for room, so the supervisor and ``gamekeeper status`` tell it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

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


def disk_room(path: Path) -> DiskRoom:
    """Raises OSError when there is no such path."""
    found = os.statvfs(path)
    free = found.f_bavail * found.f_frsize
    has_inodes = found.f_files == 0 or found.f_favail > 0  # some file systems make inodes as they need them
    return DiskRoom(path, free, found.f_blocks * found.f_frsize, free < FULL_BYTES or not has_inodes)
