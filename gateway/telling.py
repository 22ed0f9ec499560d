"""Tells operators of refusals: a line in the log once for a node and a reason, and a counter for each.

A node that is refused tries again, for ever and many times a second. One line says all that there is to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from gamekeeper.logging import get_logger
from gateway.refusal import Reason, Refusal

log = get_logger(__name__)

AGAIN_SECONDS = 3600.0
KEPT = 4096


class Telling:
    """Counters and refusals of one gateway."""

    def __init__(self, open_polls: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, Reason], float] = {}
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "gamekeeper_gateway_calls", "Calls that reached Temporal", ["method"], registry=self.registry
        )
        self.refused = Counter("gamekeeper_gateway_refused", "Calls refused", ["reason"], registry=self.registry)
        polls = Gauge("gamekeeper_gateway_open_polls", "Polls that are open", registry=self.registry)
        polls.set_function(open_polls)

    def serve(self, port: int) -> None:
        start_http_server(port, addr="127.0.0.1", registry=self.registry)

    def refusal(self, node_id: str, method: str, refusal: Refusal) -> None:
        """``node_id`` is empty where no certificate tells it."""
        self.refused.labels(refusal.reason.value).inc()
        key, now = (node_id, refusal.reason), self._clock()
        told_at = self._told.get(key)
        if told_at is not None and now - told_at < AGAIN_SECONDS:
            return
        self._told.pop(key, None)
        self._told[key] = now
        if len(self._told) > KEPT:
            del self._told[next(iter(self._told))]
        name = method.rpartition("/")[2][:60]
        log.warning("refused %s of node %s (%s): %s", name, node_id or "?", refusal.reason.value, refusal)
