"""Samples and inventories of nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from api.grpc.errors import translated
from api.grpc.link_calls import Context, LinkCalls
from gamekeeper.rpc.convert import inventory_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb


class TelemetryCalls(LinkCalls):
    """ReportMetrics and ReportInventory."""

    async def ReportMetrics(
        self, batches: AsyncIterator[pb.MetricsBatch], context: Context
    ) -> pb.ReportMetricsResponse:
        async with translated(context), self._node(context) as call:
            return await call.work(self._take(call.node_id, batches))

    async def _take(self, node_id: str, batches: AsyncIterator[pb.MetricsBatch]) -> pb.ReportMetricsResponse:
        accepted = 0
        async for batch in batches:
            accepted += await self._services.telemetry.accept(node_id, batch)
        return pb.ReportMetricsResponse(accepted=accepted)

    async def ReportInventory(self, request: pb.Inventory, context: Context) -> pb.ReportInventoryResponse:
        async with translated(context), self._node(context) as call:
            changed = await self._services.inventory.report(call.node_id, inventory_from_pb(request))
            return pb.ReportInventoryResponse(changed=changed)
