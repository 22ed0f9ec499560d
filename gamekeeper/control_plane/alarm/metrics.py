"""The newest metrics of nodes and instances, and how their disks fill. Kept in memory, read a minute at a time.

Means of a minute are enough for alarms that hold for minutes, and there is one row of each object for a minute: of ten
thousand objects that is little to read.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import MetricRow
from gamekeeper.domain.alarm.trend import seconds_until_full
from gamekeeper.domain.node.metric import CONTAINER_METRICS, NODE_METRICS, VALUE_BYTES, named, unpack

MINUTE = 60
FRESH_SECONDS = 240  # the mean of a minute is made after its end, and travels
TREND_SECONDS = 3 * 3600
_BATCH = 20_000


@dataclass(frozen=True)
class Newest:
    at: int
    values: dict[str, float]


class AlarmMetrics:
    def __init__(self) -> None:
        self._newest: dict[str, Newest] = {}
        self._disks: dict[str, deque[tuple[int, float]]] = defaultdict(deque)
        self._seen = 0

    async def read(self, session: AsyncSession, now: datetime) -> None:
        """Reads what is new. Idempotent; the first time it reads the hours that a trend needs."""
        second = int(now.timestamp())
        if self._seen == 0:
            self._take(await _rows(session, second - TREND_SECONDS, "node:"))
        begin = max(self._seen, second - FRESH_SECONDS)
        self._take(await _rows(session, begin, ""))
        for disks in self._disks.values():
            while disks and disks[0][0] < second - TREND_SECONDS:
                disks.popleft()
        oldest = second - 2 * FRESH_SECONDS
        self._newest = {subject: found for subject, found in self._newest.items() if found.at >= oldest}

    def _take(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        for subject, at, data in rows:
            self._seen = max(self._seen, at)
            if len(data) % VALUE_BYTES:
                continue
            names = NODE_METRICS if subject.startswith("node:") else CONTAINER_METRICS
            values = named(names, unpack(data))
            self._newest[subject] = Newest(at, values)
            disks = self._disks[subject] if "disk_used_percent" in values else None
            if disks is not None and (not disks or disks[-1][0] < at):
                disks.append((at, values["disk_used_percent"]))

    def newest(self, subject: str, now: datetime) -> dict[str, float]:
        """Empty where nothing came for minutes."""
        found = self._newest.get(subject)
        return found.values if found and found.at >= now.timestamp() - FRESH_SECONDS else {}

    def disk_full_in(self, subject: str) -> float | None:
        disks = self._disks.get(subject)
        return seconds_until_full(disks) if disks else None


async def _rows(session: AsyncSession, after: int, prefix: str) -> list[tuple[str, int, bytes]]:
    query = select(MetricRow.subject, MetricRow.at, MetricRow.data).where(
        MetricRow.resolution == MINUTE, col(MetricRow.at) > after
    )
    if prefix:
        query = query.where(col(MetricRow.subject).startswith(prefix))
    return list((await session.exec(query.order_by(col(MetricRow.at)).limit(_BATCH * 20))).all())
