"""Giving memory back drops only what stands in a file, and leaves the process whole."""

from __future__ import annotations

import ctypes
import hashlib
import ssl
from pathlib import Path

from agent_worker.memory import clean_file_mappings, give_back

SMAPS = """\
1000-2000 r--p 00000000 08:01 7 /lib/text.so
Anonymous:             0 kB
2000-3000 r--p 00001000 08:01 7 /lib/relocated.so
Anonymous:             4 kB
3000-4000 rw-p 00002000 08:01 7 /lib/data.so
Anonymous:             0 kB
4000-5000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
5000-6000 r--p 00000000 00:00 0
Anonymous:             0 kB
6000-8000 r-xp 00001000 08:01 7 /srv/with a space/text.so
Anonymous:             0 kB
"""


def test_only_unchanged_file_pages_are_dropped() -> None:
    assert list(clean_file_mappings(SMAPS)) == [(0x1000, 0x2000), (0x6000, 0x8000)]


def test_the_process_is_whole_and_smaller_afterwards() -> None:
    ssl.create_default_context()  # touches code of a large library
    before = _file_kilobytes()
    give_back()
    assert _file_kilobytes() < before
    assert hashlib.sha256(b"x").hexdigest().startswith("2d71164")
    assert ctypes.CDLL(None).getpid() > 0


def _file_kilobytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssFile:")))
