"""Allowances of nodes on the link: how often each may call, and how many calls of a kind it may have open at once.

A node is somebody else's machine. One that sends without end must cost itself alone, so the api counts for each node,
and refuses before it reads, decides or writes anything. An agent of ours stays far below all of these numbers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from api.services.bucket import Bucket
from gamekeeper.errors import LaterError, QuotaError, TooLargeError

TOLD_SECONDS = 60.0  # for so long a refusal stands as the node's condition
MAX_NODES = 10_000


@dataclass(frozen=True)
class CallLimit:
    """``message_bytes`` bounds each message. A node may make ``burst`` calls, then ``per_second``, and have ``at_once``
    of them open."""

    message_bytes: int
    per_second: float
    burst: int
    at_once: int


@dataclass
class _NodeUse:
    open: Counter[str] = field(default_factory=Counter)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    refusal: str = ""
    refused_at: float = float("-inf")


class Allowance:
    """``limits`` has a row for every call. ``refusals`` counts by call and reason, for ``/metrics``."""

    def __init__(self, limits: Mapping[str, CallLimit], clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.refusals: Counter[tuple[str, str]] = Counter()
        self._clock = clock
        self._nodes: dict[str, _NodeUse] = {}

    @contextmanager
    def call(self, node_id: str, name: str) -> Iterator[None]:
        """One call of the node. Raises LaterError when it has too many. A refusal inside is counted as well."""
        use, limit = self._use(node_id), self.limits[name]
        if use.open[name] >= limit.at_once:
            raise self._later(node_id, name, f"{limit.at_once} calls of {name} are open, which is all it may have", 1.0)
        self.charge(node_id, name, 1)
        use.open[name] += 1
        try:
            yield
        except TooLargeError as error:
            self.refused(node_id, name, "size", str(error))
            raise
        except QuotaError as error:  # told as a condition of its own, or as the server's
            self.refusals[name, error.code] += 1
            raise
        finally:
            use.open[name] -= 1

    def charge(self, node_id: str, name: str, calls: float) -> None:
        """Takes the price of so many calls: one that brings much costs as much as several. Raises LaterError."""
        use, limit = self._use(node_id), self.limits[name]
        bucket = use.buckets.get(name)
        if bucket is None:
            bucket = use.buckets[name] = Bucket(limit.per_second, limit.burst, self._clock)
        if wait := bucket.try_take(calls):
            raise self._later(node_id, name, f"it calls {name} more than {limit.per_second:g} times a second", wait)

    def refused(self, node_id: str, name: str, reason: str, text: str) -> None:
        """Notes a refusal: the operator sees it as a count, and as a condition of the node."""
        self.refusals[name, reason] += 1
        use = self._use(node_id)
        use.refusal, use.refused_at = f"{name}: {text}"[:300], self._clock()

    def trouble(self, node_id: str) -> str:
        """The node's newest refusal within the last minute; empty when there was none."""
        use = self._nodes.get(node_id)
        return use.refusal if use is not None and self._clock() - use.refused_at < TOLD_SECONDS else ""

    def _later(self, node_id: str, name: str, text: str, seconds: float) -> LaterError:
        self.refused(node_id, name, "rate", text)
        return LaterError(f"node {node_id} is refused: {text}", after_seconds=seconds)

    def _use(self, node_id: str) -> _NodeUse:
        if node_id not in self._nodes:
            if len(self._nodes) >= MAX_NODES:
                idle = (key for key, use in self._nodes.items() if not use.open.total())
                self._nodes.pop(next(idle, ""), None)
            self._nodes[node_id] = _NodeUse()
        return self._nodes[node_id]
