"""A process that holds secrets leaves no copy of its memory on a disk when it crashes."""

from __future__ import annotations

import resource

NONE = 1  # too small for a file, and the one limit by which the kernel gives none to a program either (core(5))


def leave_no_core_dumps() -> None:
    """For this process and those that it starts."""
    resource.setrlimit(resource.RLIMIT_CORE, (NONE, NONE))
