"""Versions of a secret: numbered from 1, never changed; the newest one is in use."""

from __future__ import annotations

from enum import StrEnum

MAX_SECRETS = 1000
KEPT_VERSIONS = 10  # of one secret; older ones are forgotten when a newer one is set


class VersionState(StrEnum):
    """The state of a version. ``CURRENT`` is the newest; ``EARLIER`` may be brought back; of ``DESTROYED`` nothing is
    left but its number."""

    CURRENT = "current"
    EARLIER = "earlier"
    DESTROYED = "destroyed"


def version_state(number: int, *, current: int, is_destroyed: bool) -> VersionState:
    if is_destroyed:
        return VersionState.DESTROYED
    return VersionState.CURRENT if number == current else VersionState.EARLIER
