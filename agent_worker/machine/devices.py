"""Device files that a path means: to Docker a folder means all below it, and a link the file that it leads to."""

from __future__ import annotations

import os

MAX_FILES = 4096


def device_files(path: str) -> list[str]:
    """The real paths, at most some thousands of them. A path that is not there is told as it is."""
    real = os.path.realpath(path)
    if not os.path.isdir(real):
        return [real]
    found: list[str] = []
    for folder, _, names in os.walk(real):
        found += (os.path.realpath(f"{folder}/{name}") for name in names)
        if len(found) > MAX_FILES:
            break
    return sorted(found)[:MAX_FILES] or [real]
