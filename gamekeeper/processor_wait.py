"""Time in which a process waited for a processor, because others had it or its quota was spent.

Whoever judges a silence takes it out: a process that is not let run is not at fault. The kernel counts it by thread.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


class ProcessorWait:
    """Seconds in which the thread that had to wait longest waited for a processor."""

    def __init__(self, threads: Path = Path("/proc/self/task")) -> None:
        self._threads = threads
        self._before = self._read()

    def since_last(self) -> float:
        now = self._read()
        waited = max((total - self._before.get(thread, total) for thread, total in now.items()), default=0)
        self._before = now
        return waited / 1e9

    def _read(self) -> dict[str, int]:
        found = {}
        for thread in self._threads.glob("*/schedstat"):
            with suppress(OSError, IndexError, ValueError):  # it has ended, or the kernel does not count
                found[thread.parent.name] = int(thread.read_text().split()[1])
        return found
