"""Buckets: how often something may be done, with a burst at once; one for each of many, whose number is bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

MAX_KEPT = 10_000


class Bucket:
    """Holds up to ``burst`` units; ``per_second`` come back."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._held = burst
        self._at = clock()

    def take(self, units: float = 1.0) -> float:
        """Takes the units, and returns the seconds for which their taker has to wait: 0 where they were there."""
        now = self._clock()
        self._held = min(self._burst, self._held + (now - self._at) * self._per_second) - units
        self._at = now
        return max(0.0, -self._held / self._per_second)

    def try_take(self, units: float = 1.0) -> float:
        """The same, but nothing is taken where the taker would have to wait."""
        wait = self.take(units)
        if wait:
            self._held += units
        return wait

    def wait(self, units: float = 1.0) -> float:
        """The seconds after which so many units are there. Nothing is taken."""
        wait = self.take(units)
        self._held += units
        return wait


class Buckets:
    """One bucket for each name. Of too many, the one that was not used for the longest time is forgotten."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._make = partial(Bucket, per_second, burst, clock)
        self._kept: dict[str, Bucket] = {}

    def of(self, name: str) -> Bucket:
        bucket = self._kept.pop(name, None) or self._make()
        self._kept[name] = bucket
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return bucket
