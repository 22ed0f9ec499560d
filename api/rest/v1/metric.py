"""Routes of metrics."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import LogsDep, MetricsDep, NodesDep
from api.needs import needs
from api.problems import problems
from api.rest.v1.log import StepName
from api.rest.v1.node import NodeId
from api.rest.v1.run import RunId
from api.services.node.metric import MetricService, container_subject, node_subject
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import NotFoundError

router = APIRouter(tags=["metrics"])

From = Annotated[float | None, Query(alias="from", ge=0, le=1e11, description="Unix seconds; default: an hour ago")]
To = Annotated[float | None, Query(ge=0, le=1e11, description="Unix seconds; default: now")]
Step = Annotated[int, Query(ge=1, le=86_400, description="Seconds that a point stands for")]
DEFAULT_SECONDS = 3600.0


class Point(BaseModel):
    """Means over one step; what is not known is left out."""

    at: datetime
    values: dict[str, float]


class MetricSeries(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"step": 60, "points": [{"at": "2026-11-24T02:12:00Z", "values": {"cpu_percent": 12.5, "load_1": 0.4}}]}
            ]
        }
    )

    step: int = Field(description="Seconds")
    points: list[Point]


async def series_of(
    metrics: MetricService, subject: str, start: float | None, end: float | None, step: int
) -> MetricSeries:
    end = end or time.time()
    rows = await metrics.query(subject, end - DEFAULT_SECONDS if start is None else start, end, step)
    points = [Point(at=datetime.fromtimestamp(at, UTC), values=values) for at, values in rows]
    return MetricSeries(step=step, points=points)


@router.get(
    "/nodes/{node_id}/metrics", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.NODE)]
)
async def get_node_metrics(
    node_id: NodeId, nodes: NodesDep, metrics: MetricsDep, start: From = None, to: To = None, step: Step = 60
) -> MetricSeries:
    """CPU, memory, disks, network, GPU and temperature of a node: raw for an hour, then by minute, then by hour."""
    await nodes.get(node_id)
    return await series_of(metrics, node_subject(node_id), start, to, step)


@router.get(
    "/runs/{run_id}/steps/{step_name}/metrics",
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE)],
)
async def get_step_metrics(
    run_id: RunId,
    step_name: StepName,
    logs: LogsDep,
    metrics: MetricsDep,
    start: From = None,
    to: To = None,
    step: Step = 5,
    try_number: Annotated[int | None, Query(alias="try", ge=1, le=10_000)] = None,
) -> MetricSeries:
    """CPU, memory, network, block I/O and processes of a step's container."""
    key = await logs.stored(await logs.find(run_id, step_name, try_number))
    return await series_of(metrics, container_subject(key), start, to, step)
