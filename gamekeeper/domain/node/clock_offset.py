"""The lead of this machine's clock over another's: NTP's method (RFC 5905, section 8), best of the last samples.

The sample with the shortest round trip has the least room for error, because its error is at most half of that.
"""

from __future__ import annotations

from collections import deque

KEPT = 8


class ClockOffset:
    """The offset of two clocks, from the four times of each exchange, all in nanoseconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=KEPT)

    def add(self, sent: int, received: int, answered: int, returned: int) -> None:
        """``sent`` and ``returned`` by our clock, ``received`` and ``answered`` by the other's."""
        round_trip = (returned - sent) - (answered - received)
        offset = -((received - sent) + (answered - returned)) // 2
        if round_trip >= 0:
            self._samples.append((round_trip, offset))

    @property
    def offset_ns(self) -> int:
        """0 before the first exchange."""
        return min(self._samples)[1] if self._samples else 0

    @property
    def round_trip_ns(self) -> int:
        """The round trip of the newest exchange."""
        return self._samples[-1][0] if self._samples else 0
