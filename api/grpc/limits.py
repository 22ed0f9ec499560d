"""The limits of every call of the node link. A call without a row here is no call: it fails with its first use."""

from __future__ import annotations

from collections.abc import Mapping

from api.services.node.allowance import CallLimit
from gamekeeper.errors import TooLargeError

KIB = 1024
LIMITS: Mapping[str, CallLimit] = {
    "Session": CallLimit(128 * KIB, per_second=1, burst=60, at_once=4),
    "RenewCertificate": CallLimit(16 * KIB, per_second=1, burst=30, at_once=2),
    "ReportInstances": CallLimit(2 * 1024 * KIB, per_second=5, burst=100, at_once=2),
    "GiveSecrets": CallLimit(16 * KIB, per_second=20, burst=500, at_once=16),
    "ReportInventory": CallLimit(256 * KIB, per_second=1, burst=60, at_once=2),
    "Subscribe": CallLimit(KIB, per_second=2, burst=200, at_once=4),
    "ReportMetrics": CallLimit(256 * KIB, per_second=2, burst=200, at_once=4),
    "ReportContainers": CallLimit(4096 * KIB, per_second=2, burst=60, at_once=2),
    "UploadLogs": CallLimit(4096 * KIB, per_second=50, burst=500, at_once=4),
    "Console": CallLimit(256 * KIB, per_second=10, burst=200, at_once=64),
}


def check_count(what: str, count: int, limit: int) -> None:
    """Raises TooLargeError that names both numbers."""
    if count > limit:
        raise TooLargeError(f"{count:,} {what} in one message, at most {limit:,} are taken")
