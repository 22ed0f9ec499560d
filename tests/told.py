"""The messages that the product logged in a test, without those of the event loop about other tests.

All tests share one loop: it may tell at any time of a task that an earlier one left, as soon as that is collected.
"""

from __future__ import annotations

import logging

import pytest

PARTS = ("activities", "agent_worker", "api", "control_worker", "gamekeeper", "gateway", "workflows")


def told(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """The messages of the product's own loggers, from ``level`` on."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= level and record.name.partition(".")[0] in PARTS
    ]
