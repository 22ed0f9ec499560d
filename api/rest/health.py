"""Three routes for those who look on: whether the process lives, whether it can serve, and its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel

from api.dependencies import Services, ServicesDep, require_metrics_key
from api.problems import problems, text
from api.rest.run_metrics import RunOutcomeMetrics
from api.services.node.metric import MetricService
from api.services.parts import OK, Parts
from gamekeeper import __version__
from gamekeeper.disk import nearest_room
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.domain.node.metric import NODE_METRICS
from gamekeeper.domain.run.run import RunState
from gamekeeper.errors import ForbiddenError, TooOftenError, UnauthenticatedError, UnavailableError
from gamekeeper.supervised import Supervised

router = APIRouter(tags=["health"])


class Readiness(BaseModel):
    ready: bool
    parts: dict[str, str]


@router.get("/livez")
async def get_liveness() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A part is away"}})
async def get_readiness(services: ServicesDep, response: Response) -> Readiness:
    """503 names the database, Temporal or its gateway when it does not answer or take writes, and the control worker
    when none takes work. A full log store, a disk that is nearly full and a certificate near its end are told, too: no
    reason to send requests elsewhere."""
    parts = await services.parts.ask()
    is_ready = all(parts.get(name, OK) == OK for name in Parts.needed)
    response.status_code = 200 if is_ready else 503
    return Readiness(ready=is_ready, parts=parts)


@router.get(
    "/metrics",
    response_class=Response,
    responses=text("text/plain", "The metrics") | problems(UnauthenticatedError, ForbiddenError, TooOftenError),
    dependencies=[Depends(require_metrics_key)],
)
async def get_metrics(services: ServicesDep) -> Response:
    """Prometheus' text format. From another machine it needs `GAMEKEEPER_METRICS_KEY` or an API key. No label holds a
    run's id: their number has no bound."""
    registry = CollectorRegistry()
    Gauge("gamekeeper_build_info", "Version of the control plane", ["version"], registry=registry).labels(
        __version__
    ).set(1)
    up = Gauge("gamekeeper_part_up", "1 when a part that the api stands on is well", ["part"], registry=registry)
    for name, state in (await services.parts.ask()).items():
        up.labels(name).set(state == OK)
    left = Gauge(
        "gamekeeper_certificate_seconds_left", "Time until a certificate ends", ["certificate"], registry=registry
    )
    for name, seconds in services.parts.certificates.seconds_left().items():
        left.labels(name).set(seconds)
    with suppress(UnavailableError):  # whoever looks then sees that the database is away, and all that needs none
        await _add_counts(registry, services)
    registry.register(_BackgroundTasks(services.background))
    dropped = Gauge("gamekeeper_samples_dropped", "Samples that the database was too slow for", registry=registry)
    dropped.set(services.metrics.dropped)
    _add_link(registry, services)
    _add_room(registry, services)
    _add_node_metrics(registry, services.metrics)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _add_room(registry: CollectorRegistry, services: Services) -> None:
    free = Gauge("gamekeeper_disk_free_bytes", "Room on a disk of the server", ["path"], registry=registry)
    for path in services.parts.floor.paths:
        with suppress(OSError):
            free.labels(str(path)).set(nearest_room(path).free_bytes)
    usage = services.log_usage
    taken = Gauge(
        "gamekeeper_log_bytes", "Room that the logs of a node take on the server", ["node"], registry=registry
    )
    for node, size in usage.nodes.items():
        taken.labels(node).set(size)
    name, text = "gamekeeper_log_dropped_bytes", "Bytes of logs that were not kept, or not any longer, for a quota"
    dropped = Counter(name, text, ["lines"], registry=registry)
    for lines, size in usage.dropped.items():
        dropped.labels(lines).inc(size)


def _add_link(registry: CollectorRegistry, services: Services) -> None:
    refusals = Counter("gamekeeper_link_refusals", "Refusals of the node link", ["call", "reason"], registry=registry)
    for (call, reason), count in services.refusals.items():
        refusals.labels(call, reason).inc(count)
    admission = services.admission
    late = Gauge("gamekeeper_link_late_seconds", "How late the node link is with its answers", registry=registry)
    late.set(admission.lateness.seconds)
    line = Gauge("gamekeeper_link_waiting", "Nodes that wait for their session to be opened", registry=registry)
    line.set(admission.waiting)
    rest = Counter("gamekeeper_rest_refusals", "Refusals of REST for their rate", ["reason"], registry=registry)
    for reason, count in services.rates.refusals.items():
        rest.labels(reason).inc(count)


async def _add_counts(registry: CollectorRegistry, services: Services) -> None:
    nodes = Gauge("gamekeeper_nodes", "Nodes by observed status", ["status"], registry=registry)
    for node_status, count in (await services.nodes.count_by_status()).items():
        nodes.labels(node_status).set(count)
    runs = Gauge("gamekeeper_runs", "Runs by state", ["state"], registry=registry)
    counts = await services.runs.count_by_state()
    for state in RunState:
        runs.labels(state.value).set(counts.get(state.value, 0))
    instances = Gauge("gamekeeper_instances", "Instances by state", ["state"], registry=registry)
    seen = await services.instances.rows.count_by_state()
    for instance_state in InstanceState:
        instances.labels(instance_state.value).set(seen.get(instance_state.value, 0))
    registry.register(RunOutcomeMetrics(await services.outcomes.newest(), datetime.now(UTC)))


class _BackgroundTasks(Collector):
    """One that never ends well is seen by its age, and one that stumbles over a row by its failures."""

    def __init__(self, tasks: Sequence[Supervised]) -> None:
        self._tasks = tasks

    def collect(self) -> Iterable[Metric]:
        failures = CounterMetricFamily(
            "gamekeeper_background_failures", "Rounds and rows of background tasks that failed", labels=["task"]
        )
        age = GaugeMetricFamily(
            "gamekeeper_background_success_age_seconds", "Time since a background task last ended well", labels=["task"]
        )
        for task in self._tasks:
            failures.add_metric([task.name], task.failures)
            age.add_metric([task.name], task.age)
        return [failures, age]


def _add_node_metrics(registry: CollectorRegistry, metrics: MetricService) -> None:
    """The newest sample of each node that told any within the last minute."""
    live = metrics.live_nodes()
    for name in NODE_METRICS:
        gauge = Gauge(f"gamekeeper_node_{name}", f"{name.replace('_', ' ')} of a node", ["node"], registry=registry)
        for node_id, values in live.items():
            if name in values:
                gauge.labels(node_id).set(values[name])
