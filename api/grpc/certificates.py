"""Renewals of nodes' certificates."""

from __future__ import annotations

from api.grpc.errors import translated
from api.grpc.link_calls import Context, LinkCalls
from gamekeeper.rpc.v1 import node_link_pb2 as pb


class CertificateCalls(LinkCalls):
    """RenewCertificate."""

    async def RenewCertificate(
        self, request: pb.RenewCertificateRequest, context: Context
    ) -> pb.RenewCertificateResponse:
        async with translated(context), self._node(context, "RenewCertificate") as call:
            joined = await self._services.joining.renew(call.node_id, request.csr)
            return pb.RenewCertificateResponse(
                certificate=joined.certificate, roots=joined.roots, lifetime_seconds=joined.lifetime_seconds
            )
