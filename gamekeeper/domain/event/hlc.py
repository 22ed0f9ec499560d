"""A hybrid logical clock: time stamps that follow cause and effect, and stay close to real time.

Kulkarni and others, "Logical Physical Clocks", 2014. A stamp is 48 bits of Unix milliseconds and a 16-bit counter in
one integer, so stamps of many machines sort as numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable

COUNTER_BITS = 16
MAX_AHEAD_MS = 10_000  # a machine whose clock is wrong must not drag everybody's time along


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class HybridClock:
    """``now_ms`` is the machine's own time, corrected where its error is known. Not for several threads."""

    def __init__(self, now_ms: Callable[[], int] = wall_ms) -> None:
        self._now_ms = now_ms
        self._last = 0

    def tick(self) -> int:
        """The stamp of something that happens here now; later than every stamp given or observed before."""
        self._last = max(self._now_ms() << COUNTER_BITS, self._last + 1)
        return self._last

    def observe(self, stamp: int) -> None:
        """Makes every later stamp of this clock greater than ``stamp``, unless that lies too far in the future."""
        if stamp >> COUNTER_BITS <= self._now_ms() + MAX_AHEAD_MS:
            self._last = max(self._last, stamp)
