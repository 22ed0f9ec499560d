"""Reports of a node's containers, answered with a verdict on each."""

from __future__ import annotations

from datetime import timedelta

from api.grpc.errors import translated
from api.grpc.link_calls import Context, LinkCalls
from api.services.node.container import ReportedContainer
from gamekeeper.db.models import ContainerRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.domain.run.disposal import Disposal
from gamekeeper.rpc.convert import key_from_pb, time_from_ms
from gamekeeper.rpc.v1 import node_link_pb2 as pb

_VERDICTS = {
    Disposal.KEEP: pb.VERDICT_KEEP,
    Disposal.REMOVE: pb.VERDICT_REMOVE,
    Disposal.STOP: pb.VERDICT_STOP,
}


class ContainerCalls(LinkCalls):
    """ReportContainers."""

    async def ReportContainers(
        self, request: pb.ReportContainersRequest, context: Context
    ) -> pb.ReportContainersResponse:
        async with translated(context):
            node_id = await self._node(context)
            reported = [_reported(node_id, item) for item in request.containers]
            disposals, ended = await self._services.containers.report(node_id, reported, list(request.run_resources))
            verdicts = [
                pb.ContainerVerdict(id=container_id, verdict=_VERDICTS[disposal])
                for container_id, disposal in disposals.items()
            ]
            return pb.ReportContainersResponse(verdicts=verdicts, ended_runs=ended)


def _reported(node_id: str, item: pb.Container) -> ReportedContainer:
    key = key_from_pb(item.key)
    row = ContainerRow(
        node_id=node_id,
        id=item.id[:64],
        name=item.name[:255],
        image=item.image[:500],
        status=item.status[:20],
        health=item.health[:20],
        run_id=key.run_id,
        step=key.step,
        try_number=key.try_,
        pipeline=item.pipeline[:63],
        lifetime="node" if item.lifetime == "node" else "run",
        exit_code=item.exit_code if item.ended else None,
        ports=[port[:60] for port in item.ports[:100]],
        started_at=time_from_ms(item.started_at_ms),
        seen_at=utc_now(),
    )
    return ReportedContainer(row, key, item.ended, timedelta(milliseconds=item.age_ms))
