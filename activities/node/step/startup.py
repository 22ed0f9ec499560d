"""Judges the startup of a service from what the engine tells of its container, look by look.

A service is healthy when one start of its process has held: its health check passed for that start, or, without a
check, it stayed up for a while. Being up at one moment says nothing, because a process may crash again and again, and
be started each time (``starting_again.py``). An unhealthy container is no end: it may still become healthy within the
step's time limit, as with Compose.
"""

from __future__ import annotations

from datetime import datetime

from gamekeeper.domain.run.step import Reason
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, Health

SETTLE_SECONDS = 1.0
# A process that crashed before must hold for as long as Docker would take to forgive a crash.
SETTLE_AGAIN_SECONDS = 10.0
# After 0.1 s it is started again, and twice as late each next time: 13 s for this many.
MAX_RESTARTS = 7


class Startup:
    """The sightings of one service so far. ``now`` is any clock that doesn't go back."""

    def __init__(self) -> None:
        self._start: object = None
        self._up_since = 0.0

    def held(self, info: ContainerInfo, now: float) -> bool:
        """Takes a look; True when the service is healthy."""
        if info.status is not ContainerStatus.RUNNING:
            self._start = None
            return False
        start = (info.started_at, info.restart_count)
        if start != self._start:
            self._start, self._up_since = start, now
        if info.health is not Health.NONE:
            return info.health is Health.HEALTHY
        return now - self._up_since >= _settle_seconds(info)

    def held_unseen(self, info: ContainerInfo, now: datetime) -> bool:
        """True when it became healthy while no agent was there to look, by the engine's own times."""
        if info.status is not ContainerStatus.RUNNING or info.started_at is None:
            return False
        if info.health is not Health.NONE:
            return info.health is Health.HEALTHY
        return (now - info.started_at).total_seconds() >= _settle_seconds(info)

    def hopeless(self, info: ContainerInfo) -> bool:
        """True when its process crashed too often to go on waiting."""
        return info.restart_count >= MAX_RESTARTS and info.health is not Health.HEALTHY

    def reason(self, info: ContainerInfo) -> Reason:
        """The reason of a service that has used up its time limit."""
        return Reason.UNHEALTHY if info.restart_count or info.health is Health.UNHEALTHY else Reason.TIMEOUT

    def describe(self, info: ContainerInfo) -> str:
        """The reason why the service is not healthy (yet); empty when there is nothing to tell."""
        found = []
        if info.restart_count:
            last = "" if info.last_exit_code is None else f", last with exit code {info.last_exit_code}"
            times = "once" if info.restart_count == 1 else f"{info.restart_count} times"
            found.append(f"it ended {times}{last}")
        if info.health is Health.UNHEALTHY:
            found.append(f"its health check fails: {info.health_log or 'it says nothing'}")
        elif info.health is Health.STARTING and info.health_log:
            found.append(f"its health check has not passed yet: {info.health_log}")
        return "; ".join(found)


def _settle_seconds(info: ContainerInfo) -> float:
    return SETTLE_AGAIN_SECONDS if info.restart_count else SETTLE_SECONDS
