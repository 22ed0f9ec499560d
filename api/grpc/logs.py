"""Uploads of logs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from api.grpc.errors import translated
from api.grpc.link_calls import Context, LinkCalls
from api.grpc.log_intake import LogIntake
from gamekeeper.rpc.v1 import node_link_pb2 as pb


class LogCalls(LinkCalls):
    """UploadLogs."""

    async def UploadLogs(self, batches: AsyncIterator[pb.LogBatch], context: Context) -> pb.UploadLogsResponse:
        async with translated(context), self._node(context, "UploadLogs") as call:
            session = self._services.presence.session(call.node_id)
            offset_ns = session.clock_offset_ns if session else 0
            refusals = partial(self._services.owners.refusals, call.node_id)
            intake = LogIntake(self._services.logs, refusals, offset_ns, call.node_id)
            return await call.work(_take(intake, batches))


async def _take(intake: LogIntake, batches: AsyncIterator[pb.LogBatch]) -> pb.UploadLogsResponse:
    async for batch in batches:
        await intake.accept(batch)
    return await intake.answer()
