"""Limits of each node: open polls, open calls, calls and bytes a second. One node's flood costs no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.refusal import Reason, Refusal

BURST_SECONDS = 5.0


@dataclass(frozen=True)
class NodeLimits:
    polls: int
    calls: int
    calls_per_second: float
    bytes_per_second: float


class Bucket:
    """A rate with a burst. It is overdrawn by the one that goes over, so that a large message is only late."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._burst = rate * BURST_SECONDS
        self._level = self._burst
        self._at = now

    def take(self, amount: float, now: float) -> bool:
        self._fill(now)
        if self._level <= 0:
            return False
        self._level -= amount
        return True

    def is_full(self, now: float) -> bool:
        self._fill(now)
        return self._level >= self._burst

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now


class _Usage:
    def __init__(self, limits: NodeLimits, now: float) -> None:
        self.polls = 0
        self.calls = 0
        self.rate = Bucket(limits.calls_per_second, now)
        self.traffic = Bucket(limits.bytes_per_second, now)

    def is_idle(self, now: float) -> bool:
        return not self.polls and not self.calls and self.rate.is_full(now) and self.traffic.is_full(now)


class Limits:
    """Counts what nodes do now. A node that does nothing is forgotten."""

    def __init__(self, limits: NodeLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._nodes: dict[str, _Usage] = {}

    @property
    def open_polls(self) -> int:
        return sum(usage.polls for usage in self._nodes.values())

    @contextmanager
    def opened(self, node_id: str, size: int, *, is_poll: bool) -> Iterator[None]:
        """Counts one call while it is open. Raises Refusal for one too many."""
        now = self._clock()
        usage = self._nodes.get(node_id)
        if usage is None:
            usage = self._nodes[node_id] = _Usage(self._limits, now)
        if not usage.rate.take(1, now) or not usage.traffic.take(size, now):
            raise Refusal(Reason.RATE, f"node {node_id} sends too much at once", hint="try again later")
        if is_poll and usage.polls >= self._limits.polls:
            raise Refusal(Reason.POLLS, f"node {node_id} has {usage.polls} polls open, as many as it may")
        if not is_poll and usage.calls >= self._limits.calls:
            raise Refusal(Reason.RATE, f"node {node_id} has {usage.calls} calls open, as many as it may")
        _count(usage, is_poll, 1)
        try:
            yield
        finally:
            _count(usage, is_poll, -1)

    async def forget_idle(self) -> None:
        now = self._clock()
        for node_id in [node_id for node_id, usage in self._nodes.items() if usage.is_idle(now)]:
            del self._nodes[node_id]

    def __len__(self) -> int:
        return len(self._nodes)


def _count(usage: _Usage, is_poll: bool, change: int) -> None:
    if is_poll:
        usage.polls += change
    else:
        usage.calls += change
