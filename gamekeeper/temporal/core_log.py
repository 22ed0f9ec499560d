"""Leads the log of the SDK's core through our own, once an outage and not once a try.

The core warns at each try of each call while the server is away, from all its pollers at once. Here the first such
record of an outage passes, and all further ones are dropped until none came for a while.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable

from temporalio.runtime import LogForwardingConfig, LoggingConfig, TelemetryConfig, TelemetryFilter

QUIET_SECONDS = 60.0
_CONNECTION = re.compile(r"gRPC call|transport error|Unavailable|tcp connect|Network error|deadline", re.IGNORECASE)
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_STATUS = re.compile(r"""\{'error': 'Status \{ code: (\w+), message: "(.*?)".*""", re.DOTALL)  # with all its sources
_NUMBERS = re.compile(r"\d+")
_KEPT = 200


class OncePerOutage(logging.Filter):
    """Lets a kind of record pass again only after ``QUIET_SECONDS`` without any of its kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        text = _STATUS.sub(r"(\1: \2)", _COLORS.sub("", record.getMessage()))
        away = bool(_CONNECTION.search(text))
        record.msg, record.args = (f"Temporal is away: {text}" if away else text), ()
        kind = "away" if away else _NUMBERS.sub("", text)
        now = self._clock()
        with self._lock:
            before = self._last.pop(kind, None)
            self._last[kind] = now
            if len(self._last) > _KEPT:
                del self._last[next(iter(self._last))]
        return before is None or now - before > QUIET_SECONDS


def telemetry() -> TelemetryConfig:
    """The core's warnings, and the errors of the libraries below it, as records of the logger ``temporal``."""
    logger = logging.getLogger("temporal")
    if not logger.filters:
        logger.addFilter(OncePerOutage())
    forwarding = LogForwardingConfig(logger, append_target_to_name=False, prepend_target_on_message=False)
    return TelemetryConfig(
        logging=LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding)
    )
