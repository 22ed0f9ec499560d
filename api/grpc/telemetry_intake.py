"""Checks samples on their way from the node link to the services."""

from __future__ import annotations

import math
import time

from api.grpc.limits import check_count
from api.services.node.condition import ConditionService
from api.services.node.container_owner import ContainerOwners
from api.services.node.metric import MetricService, container_subject, node_subject
from gamekeeper.domain.node.condition import Vitals
from gamekeeper.domain.node.metric import MAX_VALUES, NODE_METRICS, Sample, named
from gamekeeper.errors import InvalidError
from gamekeeper.rpc.convert import key_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

MAX_SAMPLES = 2000  # in one batch; an agent of ours sends 200
OLDEST_SECONDS = 3600.0
FUTURE_SECONDS = 60.0


class TelemetryIntake:
    """Checks what agents send; a sample that can't be true is refused, not stored. One of a step that is not the
    node's own is left out: it would stand in another node's curve."""

    def __init__(self, metrics: MetricService, conditions: ConditionService, owners: ContainerOwners) -> None:
        self._metrics = metrics
        self._conditions = conditions
        self._owners = owners

    async def accept(self, node_id: str, batch: pb.MetricsBatch) -> int:
        """Returns the number of samples that were kept. Raises InvalidError for a batch that no agent of ours sends."""
        check_count("samples", len(batch.samples), MAX_SAMPLES)
        newest: list[float] | None = None
        kept = 0
        keys = {key_from_pb(message.key) for message in batch.samples if message.HasField("key")}
        own = await self._owners.of_node(node_id, keys)
        for message in batch.samples:
            if len(message.values) > MAX_VALUES:
                raise InvalidError(f"a sample has {len(message.values)} values, at most {MAX_VALUES} are known")
            sample = Sample(_time(message.at_ms), list(message.values))
            if math.isnan(sample.at):
                continue
            if message.HasField("key"):
                if (key := key_from_pb(message.key)) not in own:
                    continue
                self._metrics.accept(container_subject(key), sample)
            else:
                self._metrics.accept(node_subject(node_id), sample)
                newest = list(message.values)
            kept += 1
        if newest is not None:
            await self._conditions.observe(node_id, _vitals(named(NODE_METRICS, newest)))
        return kept


def _time(at_ms: int) -> float:
    """Unix seconds; NaN for a time outside what the raw samples cover."""
    age = time.time() - at_ms / 1000
    return at_ms / 1000 if -FUTURE_SECONDS <= age <= OLDEST_SECONDS else math.nan


def _vitals(values: dict[str, float]) -> Vitals:
    used, available = values.get("memory_used_bytes"), values.get("memory_available_bytes")
    total = (used or 0) + (available or 0)
    return Vitals(
        disk_used_percent=values.get("disk_used_percent"),
        memory_available_percent=100 * available / total if available is not None and total else None,
    )
