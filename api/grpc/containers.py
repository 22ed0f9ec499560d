"""Reports of a node's containers, answered with a verdict on each."""

from __future__ import annotations

import asyncio

from api.grpc.errors import translated
from api.grpc.limits import check_count
from api.grpc.link_calls import Context, LinkCalls
from api.services.node.container import Report, ReportedContainer
from gamekeeper.db.models import ContainerRow
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.run.disposal import Disposal
from gamekeeper.errors import InvalidError
from gamekeeper.rpc.convert import key_to_pb, span_from_ms, step_key_from_pb, time_from_ms
from gamekeeper.rpc.v1 import node_link_pb2 as pb

CALL = "ReportContainers"
CONTAINERS_PER_CALL = 300.0  # what they cost, against the call itself
SLICE = 50  # containers that are read at once: others have their turn in between
MAX_CONTAINERS = 3000  # more than any machine runs
MAX_TRIES = 500
MAX_RESOURCES = 3000
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
        async with translated(context), self._node(context, CALL) as call:
            check_count("containers", len(request.containers), MAX_CONTAINERS)
            check_count("runs with a network or a volume", len(request.run_resources), MAX_RESOURCES)
            self._services.allowance.charge(call.node_id, CALL, len(request.containers) / CONTAINERS_PER_CALL)
            report = await report_from_pb(call.node_id, request)
            answer = await self._services.containers.report(call.node_id, report)
            return pb.ReportContainersResponse(
                verdicts=[
                    pb.ContainerVerdict(id=container_id, verdict=_VERDICTS[disposal])
                    for container_id, disposal in answer.disposals.items()
                ],
                ended_runs=answer.ended_runs,
                unknown_runs=answer.unknown_runs,
                over=[key_to_pb(key) for key in answer.over],
            )


async def report_from_pb(node_id: str, request: pb.ReportContainersRequest) -> Report:
    """The report without what could not have been made by a workflow: anybody may give a container odd labels, and one
    such container must not keep all others of its node from being seen to."""
    by_id = {item.id[:64]: item for item in request.containers}  # of one that is told twice the last counts
    containers = []
    for number, item in enumerate(by_id.values()):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        if key := _find_key(item.key):
            containers.append(_reported(node_id, item, key))
    tries = [key for item in request.tries[:MAX_TRIES] if (key := _find_key(item))]
    return Report(containers, [run_id[:32] for run_id in request.run_resources], tries)


def _text(value: str, length: int) -> str:
    return storable(value[:length])


def _find_key(message: pb.ContainerKey) -> StepKey | None:
    try:
        return step_key_from_pb(message)
    except InvalidError:
        return None


def _reported(node_id: str, item: pb.Container, key: StepKey) -> ReportedContainer:
    row = ContainerRow(
        node_id=node_id,
        id=_text(item.id, 64),
        name=_text(item.name, 255),
        image=_text(item.image, 500),
        status=_text(item.status, 20),
        health=_text(item.health, 20),
        run_id=key.run_id,
        step=key.step,
        try_number=key.try_,
        pipeline=_text(item.pipeline, 63),
        lifetime="node" if item.lifetime == "node" else "run",
        exit_code=item.exit_code if item.ended else None,
        restart_count=min(item.restart_count, 2**31 - 1),
        problem=_text(item.problem, 500),
        ports=[_text(port, 60) for port in item.ports[:100]],
        started_at=time_from_ms(item.started_at_ms),
        seen_at=utc_now(),
    )
    code = item.last_exit_code if item.HasField("last_exit_code") else None
    age, finished_at = span_from_ms(item.age_ms), time_from_ms(item.finished_at_ms)
    return ReportedContainer(row, key, item.ended, age, code, finished_at)
