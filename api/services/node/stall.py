"""Tells when this process itself stood still: stopped by a signal, on a machine that slept, or behind a busy loop.

Whoever judges others by their silence must not count such a time: nobody could be heard in it. Neither the time in
which it waited for a processor, because others had it or its quota was spent: the kernel counts that for each thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from gamekeeper.processor_wait import ProcessorWait

PULSE_SECONDS = 0.25  # how often ``observe`` is called where all is well
TOLERANCE_SECONDS = 0.5  # a busy loop is this late every now and then, which no lease notices


def _boottime() -> float:
    """Goes on while the machine sleeps, which the monotonic clock does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Stall:
    """``seconds`` is the lost time as the monotonic clock counts it, ``slept`` with the machine's sleep in it."""

    seconds: float
    slept: float


class StallWatch:
    """``now`` is the clock by which silences are counted: it stands while this process waits for a processor.

    ``observe`` is called by a task that does nothing else, and by all who are about to judge a silence: after a
    stall nobody knows whose turn comes first."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        boottime: Callable[[], float] = _boottime,
        waited: Callable[[], float] | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._boottime = boottime
        self._waited = waited or ProcessorWait().since_last
        self._lost_waiting = 0.0
        self._waits_at = monotonic()
        self.waiting_share = 0.0
        self._seen = (self.now(), boottime())
        self._ended_at = float("-inf")

    def now(self) -> float:
        return self._monotonic() - self._lost_waiting

    def count_waits(self) -> None:
        """To be called a few times a second. ``waiting_share`` is the part of the time since then that was lost."""
        now = self._monotonic()
        elapsed, waited = now - self._waits_at, self._waited()
        if elapsed > 0:
            self.waiting_share = min(1.0, waited / elapsed)
            self._lost_waiting += self.waiting_share * elapsed
        self._waits_at = now

    def observe(self) -> Stall | None:
        """The stall that has just ended, once."""
        now, up = self.now(), self._boottime()
        lost, slept = now - self._seen[0] - PULSE_SECONDS, up - self._seen[1] - PULSE_SECONDS
        self._seen = (now, up)
        if max(lost, slept) <= TOLERANCE_SECONDS:
            return None
        self._ended_at = now
        return Stall(max(0.0, lost), max(lost, slept))

    def was_within(self, seconds: float) -> bool:
        """Says that a stall ended less than ``seconds`` ago."""
        return self.now() - self._ended_at < seconds
