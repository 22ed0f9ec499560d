"""Holds a process to a part of a core, by a control group of its own: for tests and benches of a slow machine.

Both versions of control groups are known: one whose ``cpu`` controller is mounted by itself, and the unified one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEAST_US = 1000  # the kernel takes no less
SHORTEST_US, LONGEST_US = 10_000, 1_000_000  # a short one is like a slow processor, a long one like a series of stops
_ALONE, _UNIFIED = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@contextmanager
def held_to(pid: int, cores: float) -> Iterator[None]:
    """``cores`` of CPU for the process and its threads while the block goes on."""
    root = _ALONE if (_ALONE / "cpu.cfs_quota_us").exists() or _ALONE.is_dir() else _UNIFIED
    group = root / f"gamekeeper-{os.getpid()}-{pid}"
    period = min(LONGEST_US, max(SHORTEST_US, int(LEAST_US / cores) + 1))
    quota = int(cores * period)
    if root is _UNIFIED:
        (root / "cgroup.subtree_control").write_text("+cpu")
    group.mkdir()
    try:
        if root is _ALONE:
            (group / "cpu.cfs_period_us").write_text(str(period))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {period}")
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(left)
        group.rmdir()
