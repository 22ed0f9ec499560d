"""Samples and inventories of nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from api.grpc.errors import translated
from api.grpc.link_calls import Context, LinkCalls
from api.grpc.policy import read_policy
from api.services.bucket import Bucket
from gamekeeper.rpc.convert import inventory_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

SAMPLES_PER_SECOND = 500.0
SAMPLES_AT_ONCE = 20_000.0  # an agent that was away has kept an hour of them


class TelemetryCalls(LinkCalls):
    """ReportMetrics and ReportInventory."""

    async def ReportMetrics(
        self, batches: AsyncIterator[pb.MetricsBatch], context: Context
    ) -> pb.ReportMetricsResponse:
        async with translated(context), self._node(context, "ReportMetrics") as call:
            return await call.work(self._take(call.node_id, batches))

    async def _take(self, node_id: str, batches: AsyncIterator[pb.MetricsBatch]) -> pb.ReportMetricsResponse:
        """A node that sends too many is not read for a while, which makes it thin them; none is while we are late."""
        accepted, bucket = 0, Bucket(SAMPLES_PER_SECOND, SAMPLES_AT_ONCE)
        async for batch in batches:
            await asyncio.sleep(bucket.take(len(batch.samples)))
            await self._services.presence.lateness.until_in_time()
            accepted += await self._services.telemetry.accept(node_id, batch)
        return pb.ReportMetricsResponse(accepted=accepted)

    async def ReportInventory(self, request: pb.Inventory, context: Context) -> pb.ReportInventoryResponse:
        async with translated(context), self._node(context, "ReportInventory") as call:
            policy = read_policy(request.policy_json) if request.policy_json else None
            changed = await self._services.inventory.report(call.node_id, inventory_from_pb(request), policy)
            return pb.ReportInventoryResponse(changed=changed)
