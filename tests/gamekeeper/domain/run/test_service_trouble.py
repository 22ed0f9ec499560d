"""The sentence on a service that came up and is not well any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gamekeeper.domain.run.service_trouble import ServiceFacts, service_trouble

AT = datetime(2026, 1, 31, 12, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": "running"}, ""),
        ({"status": "running", "health": "healthy", "exit_code": 3}, ""),
        ({"status": "exited", "exit_code": 3}, "its container exited with 3"),
        (
            {"status": "dead", "exit_code": 0, "finished_at": AT},
            "its container exited with 0 at 2026-01-31 12:30:05 UTC",
        ),
        (
            {"status": "restarting", "exit_code": 3, "restart_count": 7},
            "its container exited with 3 and is restarting (restart 7)",
        ),
        ({"status": "paused", "health": "unhealthy"}, "its container is paused"),
        ({"status": "running", "health": "unhealthy", "restart_count": 1}, "its container is unhealthy"),
        ({"status": "running", "restart_count": 1}, "its container was restarted once"),
        (
            {"status": "running", "restart_count": 2, "exit_code": 0},
            "its container was restarted 2 times, last after it exited with 0",
        ),
    ],
)
def test_one_sentence_tells_the_worst(facts: dict[str, Any], words: str) -> None:
    assert service_trouble(ServiceFacts(**facts)) == words


def test_a_container_that_is_gone() -> None:
    assert service_trouble(None) == "its container is gone"
