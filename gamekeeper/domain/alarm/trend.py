"""The time at which a disk is full, if it fills on as it did: a straight line through what was measured."""

from __future__ import annotations

from collections.abc import Sequence

FEWEST, SHORTEST_SECONDS = 20, 1200.0  # less says nothing of a trend
NEVER_SECONDS = 366 * 86_400.0


def seconds_until_full(points: Sequence[tuple[int, float]]) -> float | None:
    """``points`` are times in seconds and percents in use, oldest first. None where too few are known; NEVER_SECONDS
    for a disk that does not fill."""
    if len(points) < FEWEST or points[-1][0] - points[0][0] < SHORTEST_SECONDS:
        return None
    count, origin = len(points), points[0][0]
    mean_at = sum(at - origin for at, _ in points) / count
    mean_used = sum(used for _, used in points) / count
    spread = sum((at - origin - mean_at) ** 2 for at, _ in points)
    slope = sum((at - origin - mean_at) * (used - mean_used) for at, used in points) / spread
    left = 100.0 - points[-1][1]
    if slope <= 0 or left / slope > NEVER_SECONDS:
        return NEVER_SECONDS
    return max(0.0, left / slope)
