"""Metrics: raw samples become minutes and hours, whole and once, and each is kept for its own time."""

from __future__ import annotations

import math
import time

import pytest

from api.services.node.metric import HOUR, MINUTE, RAW, MetricService, node_subject
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.metric import MetricRepository
from gamekeeper.domain.node.metric import (
    CONTAINER_METRICS,
    NODE_METRICS,
    Retention,
    Sample,
    mean,
    named,
    ordered,
    pack,
    unpack,
)
from gamekeeper.errors import InvalidError
from gamekeeper.rpc.v1 import node_link_pb2 as pb

SUBJECT = node_subject("n1")


def sample(at: float, cpu: float) -> Sample:
    return Sample(at, ordered(NODE_METRICS, {"cpu_percent": cpu, "memory_used_bytes": 3e10}))


def test_the_names_stand_in_the_order_of_the_protocol() -> None:
    assert [f"NODE_METRIC_{name.upper()}" for name in NODE_METRICS] == pb.NodeMetric.keys()
    assert [f"CONTAINER_METRIC_{name.upper()}" for name in CONTAINER_METRICS] == pb.ContainerMetric.keys()


def test_values_travel_packed_and_unknown_ones_are_left_out() -> None:
    values = unpack(pack(ordered(("a", "b", "c"), {"a": 1.5, "c": None})))
    assert named(("a", "b", "c", "newer"), values) == {"a": 1.5}
    assert mean([[1.0, math.nan], [3.0], []])[0] == 2.0


async def test_raw_samples_are_summed_up_once(database: Database) -> None:
    metrics = MetricService(database, Retention())
    now = time.time() // HOUR * HOUR + HOUR / 2
    start = now - 20 * MINUTE
    for second in range(0, 600, 5):
        metrics.accept(SUBJECT, sample(start + second, cpu=float(second // 60)))
    await metrics.save()
    await metrics.roll_up(now)
    await metrics.roll_up(now)
    async with database.read() as session:
        minutes = await MetricRepository(session).between(MINUTE, 0, int(now), SUBJECT)
    assert [named(NODE_METRICS, unpack(data))["cpu_percent"] for _, _, data in minutes] == [float(i) for i in range(10)]


async def test_a_query_takes_the_resolution_that_still_has_it(database: Database) -> None:
    metrics = MetricService(database, Retention(raw=600, minutes=7200, hours=10**6))
    now = time.time()
    metrics.accept(SUBJECT, sample(now - 3, 40))
    metrics.accept(SUBJECT, sample(now - 2, 60))
    (at, values), *_ = await metrics.query(SUBJECT, now - 60, now + 1, 30)
    assert at % 30 == 0
    assert 40 <= values["cpu_percent"] <= 60  # not flushed yet, and seen
    assert "temperature_celsius" not in values
    async with database.write() as session:
        row = {"subject": SUBJECT, "resolution": HOUR, "at": int(now) - 5 * HOUR, "data": pack([7.0])}
        await MetricRepository(session).add([row, row])
    found = await metrics.query(SUBJECT, now - 6 * HOUR, now, HOUR)
    assert [values["cpu_percent"] for _, values in found] == [7.0]
    with pytest.raises(InvalidError, match="points"):
        await metrics.query(SUBJECT, now - HOUR, now, 1)


async def test_old_samples_go(database: Database) -> None:
    metrics = MetricService(database, Retention(raw=60, minutes=120, hours=180))
    now = time.time()
    rows = [
        {"subject": SUBJECT, "resolution": resolution, "at": int(now) - 1000, "data": b""}
        for resolution in (RAW, MINUTE, HOUR)
    ]
    async with database.write() as session:
        await MetricRepository(session).add(rows)
    await metrics.roll_up(now)
    async with database.read() as session:
        for resolution in (RAW, MINUTE, HOUR):
            assert await MetricRepository(session).between(resolution, 0, int(now)) == []
