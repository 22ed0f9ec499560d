"""Room on a disk. It is looked at rather than probed: a small write may find the last few bytes and say "ok"."""

from __future__ import annotations

import os
from pathlib import Path

from gamekeeper.errors import UnavailableError

LEAST_BYTES = 1024 * 1024


def free_bytes(folder: Path) -> int:
    """Bytes that are left for us on the disk of ``folder``, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def check_room(folder: Path, what: str) -> None:
    """Raises UnavailableError when the disk of ``folder`` is full, or will be in a moment."""
    free = free_bytes(folder)
    if free < LEAST_BYTES:
        raise full_disk(f"the disk of {what} ({folder}) is full: {free // 1024} KiB are left")


def full_disk(message: str) -> UnavailableError:
    return UnavailableError(message, hint="free space there; it goes on by itself", code="disk_full")
