"""Reports of a node's instances."""

from __future__ import annotations

from collections.abc import Iterator

from api.grpc.errors import translated
from api.grpc.limits import check_count
from api.grpc.link_calls import Context, LinkCalls
from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.rpc.instance import status_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

MAX_INSTANCES = 3000  # more than any machine runs


class InstanceCalls(LinkCalls):
    """ReportInstances."""

    async def ReportInstances(self, request: pb.ReportInstancesRequest, context: Context) -> pb.ReportInstancesResponse:
        async with translated(context), self._node(context, "ReportInstances") as call:
            check_count("instances", len(request.instances), MAX_INSTANCES)
            statuses = list(self._readable(call.node_id, request))
            remove = await self._services.instances.observe(call.node_id, statuses, complete=request.complete)
            return pb.ReportInstancesResponse(remove=remove)

    def _readable(self, node_id: str, request: pb.ReportInstancesRequest) -> Iterator[InstanceStatus]:
        """One that can't be read, of a newer agent, hides no other."""
        for message in request.instances:
            with self._services.instances.care.row(f"instance {message.instance[:80]!r} of node {node_id}"):
                yield status_from_pb(message)
