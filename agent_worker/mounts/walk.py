"""Finds a folder or a file of the machine without following a link, and holds it open.

Each name of the path is looked up in the folder that was opened before it, so nothing that somebody renames meanwhile
leads elsewhere: what is held is what was looked at.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from gamekeeper.errors import PolicyError

FOLDER_MODE = 0o755  # of a folder that is made, as Docker makes it


@contextmanager
def held_open(path: str, *, create: bool = True) -> Iterator[int]:
    """The descriptor of what is at ``path``. Folders that are missing are made, as Docker does it.

    Raises PolicyError where a link is on the way, and OSError as the kernel tells it.
    """
    held = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        walked = PurePosixPath("/")
        for name in PurePosixPath(path).parts[1:]:
            walked /= name
            found = _open(held, name, create=create)
            os.close(held)
            held = found
            if stat.S_ISLNK(os.fstat(held).st_mode):
                raise PolicyError(
                    f"host path {path} is not mounted: {walked} is a link",
                    hint="write the path that it leads to, and allow that in the node's policy",
                )
        yield held
    finally:
        os.close(held)


def _open(folder: int, name: str, *, create: bool) -> int:
    for _ in range(3):  # somebody may make it, or take it away, in between
        try:
            return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
        except FileNotFoundError:
            if not create:
                raise
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            continue
        held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=folder)
        os.chmod(f"/proc/self/fd/{held}", FOLDER_MODE)  # the agent's umask is for its own files
        return held
    return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
