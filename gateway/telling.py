"""Tells operators of refusals: a line in the log once for a node and a reason, and a counter for each.

A node that is refused tries again, for ever and many times a second. One line says all that there is to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from gamekeeper.logging import get_logger
from gateway.refusal import Refusal

log = get_logger(__name__)

AGAIN_SECONDS = 3600.0
KEPT = 4096


class Telling:
    """Counters and refusals of one gateway."""

    def __init__(self, open_polls: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "gamekeeper_gateway_calls", "Calls that reached Temporal", ["method"], registry=self.registry
        )
        self.refused = Counter("gamekeeper_gateway_refused", "Calls refused", ["reason"], registry=self.registry)
        self.unread = Counter("gamekeeper_gateway_unreadable", "Tasks that can't be decrypted", registry=self.registry)
        polls = Gauge("gamekeeper_gateway_open_polls", "Polls that are open", registry=self.registry)
        polls.set_function(open_polls)

    def serve(self, port: int) -> None:
        start_http_server(port, addr="127.0.0.1", registry=self.registry)

    def unreadable(self, node_id: str, error: Exception) -> None:
        self.unread.inc()
        if self._is_new((node_id, str(error))):
            log.warning("a step of node %s waits: what it was given can't be read: %s", node_id, error)

    def refusal(self, node_id: str, method: str, refusal: Refusal) -> None:
        """``node_id`` is empty where no certificate tells it."""
        self.refused.labels(refusal.reason.value).inc()
        if self._is_new((node_id, refusal.reason)):
            name = method.rpartition("/")[2][:60]
            log.warning("refused %s of node %s (%s): %s", name, node_id or "?", refusal.reason.value, refusal)

    def _is_new(self, key: tuple[str, str]) -> bool:
        """False of what was told within the hour."""
        now, told_at = self._clock(), self._told.pop(key, None)
        is_new = told_at is None or now - told_at >= AGAIN_SECONDS
        self._told[key] = now if told_at is None or is_new else told_at
        if len(self._told) > KEPT:
            del self._told[next(iter(self._told))]
        return is_new
