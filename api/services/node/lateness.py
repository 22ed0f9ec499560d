"""Lateness of this process: how long whatever it is told waits before it gets a turn.

It is measured at the own event loop, by the time that the process waits for a processor, and by the heartbeats, which
wait in gRPC's own threads before that. Each tells when it was sent, and what it took longer than the quickest of its
node is a delay. One node may have a bad line, or lie, so the delay that half of them have is taken.

An api that has too little CPU is late with everything, and whoever waits for it asks again, which makes it later. So it
says how late it is: agents are told to beat more seldom and to be patient for longer, samples are left unread, and no
new sessions are taken, until it has caught up.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from gamekeeper.backoff import jittered

LOOK_SECONDS = 0.25  # between two looks
NAP_SECONDS = 0.05
LATE_SECONDS = 0.5  # a busy machine is so late every now and then, which nobody feels
PER_STRETCH_SECONDS = 0.2
MAX_STRETCH = 6.0  # heartbeats every half minute, and leases of three quarters of one
MOST_SECONDS = 1.5
FALLING_SECONDS = 5.0  # the lateness that agents are told of falls slowly, so that it does not swing
SPREAD_SECONDS = 2.0
FEWEST_NODES = 3
STARVED_SHARE = 0.6  # of the time; a thread that has little to do waits little, however busy the machine is
PER_SHARE_SECONDS = 2.5


class Lateness:
    """``observe`` is called again and again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = 0.0
        self._held = 0.0
        self._seen_at = clock()
        self._late_at = float("-inf")
        self._delays: dict[str, float] = {}
        self._in_time = asyncio.Event()
        self._in_time.set()

    async def observe(self, waiting_share: float = 0.0) -> None:
        """``waiting_share`` is the part of the time in which this process waited for a processor."""
        begun = self._clock()
        await asyncio.sleep(NAP_SECONDS)
        waiting = LATE_SECONDS + (waiting_share - STARVED_SHARE) * PER_SHARE_SECONDS
        self.note(max(0.0, self._clock() - begun - NAP_SECONDS, self._delay_of_beats(), waiting))

    def heard(self, node_id: str, delay: float) -> None:
        """A heartbeat that came so many seconds later than the quickest of its node."""
        self._delays[node_id] = delay

    def _delay_of_beats(self) -> float:
        """The one that half of the nodes had since the last look; too few nodes say nothing about us."""
        found, self._delays = sorted(self._delays.values()), {}
        return found[(len(found) - 1) // 2] if len(found) >= FEWEST_NODES else 0.0

    def note(self, late: float) -> None:
        """One measured delay."""
        now, self._last = self._clock(), late
        if late > LATE_SECONDS:
            self._late_at = now
        fallen = self._held * math.exp((self._seen_at - now) / FALLING_SECONDS)
        self._held, self._seen_at = max(min(late, MOST_SECONDS), fallen), now
        if self.is_late:
            self._in_time.clear()
        else:
            self._in_time.set()

    @property
    def seconds(self) -> float:
        return self._held

    @property
    def is_late(self) -> bool:
        """Says that it is late just now."""
        return self._last > LATE_SECONDS

    @property
    def stretch(self) -> float:
        """The factor for all times that agents are told: 1 where all is well."""
        return min(MAX_STRETCH, 1.0 + max(0.0, self._held - LATE_SECONDS) / PER_STRETCH_SECONDS)

    def was_within(self, seconds: float) -> bool:
        """Says that it was late at all less than ``seconds`` ago."""
        return self._clock() - self._late_at < seconds

    async def until_in_time(self) -> None:
        """Returns at once where all is well. All who waited go on one after another, not in one instant."""
        while not self._in_time.is_set():
            await self._in_time.wait()
            await asyncio.sleep(jittered(SPREAD_SECONDS / 2, spread=1.0))
