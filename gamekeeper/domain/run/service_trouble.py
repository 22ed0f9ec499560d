"""Says what went wrong with a service since it came up. Its step has ended well by then, and stays so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ServiceFacts:
    """A service's container as its node reported it last, in Docker's words. ``exit_code`` is of its newest end."""

    status: str
    health: str = "none"
    exit_code: int | None = None
    restart_count: int = 0
    finished_at: datetime | None = None


def service_trouble(facts: ServiceFacts | None) -> str:
    """One sentence, or nothing while all is well. ``facts`` is None for a container that is not there any more."""
    if facts is None:
        return "its container is gone"
    if facts.status in ("exited", "dead"):
        at = f" at {facts.finished_at:%Y-%m-%d %H:%M:%S} UTC" if facts.finished_at else ""
        return f"its container exited with {facts.exit_code}{at}"
    if facts.status == "restarting":
        return f"its container exited with {facts.exit_code} and is restarting (restart {facts.restart_count})"
    if facts.status == "paused":
        return "its container is paused"
    if facts.health == "unhealthy":
        return "its container is unhealthy"
    if facts.restart_count:
        times = "once" if facts.restart_count == 1 else f"{facts.restart_count} times"
        code = "" if facts.exit_code is None else f", last after it exited with {facts.exit_code}"
        return f"its container was restarted {times}{code}"
    return ""
