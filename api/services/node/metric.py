"""Metrics of nodes and containers: the newest in memory, the rest in the database at three resolutions.

Raw samples become one-minute means, those become hours; each has its own time to live. Means are made from what is
stored, for whole periods, so a restart neither loses nor doubles any.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.metric import MetricRepository
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey
from gamekeeper.domain.node.metric import (
    CONTAINER_METRICS,
    NODE_METRICS,
    VALUE_BYTES,
    Retention,
    Sample,
    mean,
    named,
    pack,
    unpack,
)
from gamekeeper.errors import InvalidError

RAW, MINUTE, HOUR = 0, 60, 3600
SETTLE_SECONDS = 15  # samples travel; a minute is summed up when its last ones have come
MAX_POINTS = 2000
MAX_UNSAVED = 200_000
LIVE_SECONDS = 60.0


def node_subject(node_id: str) -> str:
    return f"node:{node_id}"


def container_subject(key: ContainerKey) -> str:
    """An instance has one curve over all its revisions, and each try of a step its own."""
    return f"instance:{key.instance}" if isinstance(key, InstanceKey) else f"step:{key}"


class MetricService:
    def __init__(self, database: Database, retention: Retention) -> None:
        self._database = database
        self._retention = retention
        self._live: dict[str, Sample] = {}
        self._unsaved: list[dict[str, Any]] = []
        self.dropped = 0

    def accept(self, subject: str, sample: Sample) -> None:
        """Keeps a sample: for the live view at once, in the database within seconds."""
        self._live[subject] = sample
        if len(self._unsaved) >= MAX_UNSAVED:
            self.dropped += 1
            return
        row = {"subject": subject, "resolution": RAW, "at": int(sample.at), "data": pack(sample.values)}
        self._unsaved.append(row)

    def live_nodes(self) -> dict[str, dict[str, float]]:
        """The newest values of each node that told any within the last minute."""
        oldest = time.time() - LIVE_SECONDS
        return {
            subject.removeprefix("node:"): named(NODE_METRICS, sample.values)
            for subject, sample in self._live.items()
            if subject.startswith("node:") and sample.at >= oldest
        }

    async def query(self, subject: str, start: float, end: float, step: int) -> list[tuple[int, dict[str, float]]]:
        """Means over ``step`` seconds, oldest first. Raises InvalidError for more points than anybody can draw."""
        if end <= start:
            raise InvalidError("metrics: `to` is not after `from`")
        if (end - start) / step > MAX_POINTS:
            raise InvalidError(f"metrics: over {MAX_POINTS} points", hint="ask for a larger step or a shorter time")
        names = NODE_METRICS if subject.startswith("node:") else CONTAINER_METRICS
        resolution = self._resolution(start, step)
        async with self._database.read() as session:
            rows = await MetricRepository(session).between(resolution, int(start), int(end), subject)
        found = [(at, unpack(data)) for _, at, data in rows]
        if resolution == RAW:
            found += [(row["at"], unpack(row["data"])) for row in self._unsaved if _within(row, subject, start, end)]
        found.sort(key=lambda item: item[0])
        buckets = groupby(found, key=lambda item: item[0] // step * step)
        return [(at, named(names, mean([values for _, values in items]))) for at, items in buckets]

    def _resolution(self, start: float, step: int) -> int:
        """The finest that still has the beginning and is not finer than needed."""
        age = time.time() - start
        if step < MINUTE and age <= self._retention.raw + MINUTE:
            return RAW
        return MINUTE if step < HOUR and age <= self._retention.minutes else HOUR

    async def save(self) -> None:
        """Writes what has come since the last time; what the database does not take now waits in memory."""
        rows, self._unsaved = self._unsaved, []
        try:
            async with self._database.write() as session:
                await MetricRepository(session).add(rows)
        except BaseException:
            self._unsaved = rows + self._unsaved
            raise

    async def roll_up(self, now: float | None = None) -> None:
        """Sums up whole periods, and drops what is too old."""
        now = time.time() if now is None else now
        keep = self._retention
        await self._sum_up(RAW, MINUTE, now, now - keep.raw)
        await self._sum_up(MINUTE, HOUR, now, now - keep.minutes)
        async with self._database.write() as session:
            metrics = MetricRepository(session)
            for resolution, seconds in ((RAW, keep.raw), (MINUTE, keep.minutes), (HOUR, keep.hours)):
                await metrics.prune(resolution, int(now) - seconds)
        oldest = now - LIVE_SECONDS
        self._live = {subject: sample for subject, sample in self._live.items() if sample.at >= oldest}

    async def _sum_up(self, fine: int, coarse: int, now: float, oldest: float) -> None:
        """Every whole period since the last one that is there."""
        async with self._database.read() as session:
            metrics = MetricRepository(session)
            newest = await metrics.newest(coarse)
            start = int(oldest) // coarse * coarse if newest is None else newest + coarse
            end = int(now - SETTLE_SECONDS) // coarse * coarse
            rows = await metrics.between(fine, start, end) if end > start else []
        means = await asyncio.to_thread(_means, rows, coarse)
        async with self._database.write() as session:
            await MetricRepository(session).add(means)


def _within(row: dict[str, Any], subject: str, start: float, end: float) -> bool:
    return bool(row["subject"] == subject and int(start) <= row["at"] < int(end))


def _means(rows: Iterable[tuple[str, int, bytes]], coarse: int) -> list[dict[str, Any]]:
    periods: dict[tuple[str, int], list[Sequence[float]]] = {}
    for subject, at, data in rows:
        if len(data) % VALUE_BYTES == 0:  # a torn row has no values, and must not hold up the sums of all others
            periods.setdefault((subject, at // coarse * coarse), []).append(unpack(data))
    return [
        {"subject": subject, "resolution": coarse, "at": at, "data": pack(mean(values))}
        for (subject, at), values in periods.items()
    ]
