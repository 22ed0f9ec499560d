"""Keeps the agent small: the machine's memory is for games.

It gives memory back after the start and after busy times: heap by glibc's trim, and code that only the start needed by
dropping its pages. Those are clean copies of files, so one that is needed again comes back from the page cache.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import mmap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gamekeeper.garbage import collect_seldom

SETTLE_SECONDS = 10.0
PERIOD_SECONDS = 30.0
M_ARENA_MAX = -8


def share_arenas() -> None:
    """glibc gives each of our threads an arena of its own, which never shrinks; two are enough for all of them."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


async def give_back_forever() -> None:
    collect_seldom()
    delay = SETTLE_SECONDS
    while True:
        await asyncio.sleep(delay)
        give_back()
        delay = PERIOD_SECONDS


def give_back() -> None:
    gc.collect()
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.malloc_trim(0)
        for start, end in clean_file_mappings(Path("/proc/self/smaps").read_text()):
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def clean_file_mappings(smaps: str) -> Iterator[tuple[int, int]]:
    """Ranges that hold nothing but what stands in their file: read-only, and no page copied (as relocations do)."""
    candidate: tuple[int, int] | None = None
    for line in smaps.splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            start, end = (int(part, 16) for part in words[0].split("-"))
            is_file = len(words) > 5 and words[5].startswith("/")
            candidate = (start, end) if is_file and "w" not in words[1] else None
        elif words[0] == "Anonymous:" and candidate and words[1] == "0":
            yield candidate
