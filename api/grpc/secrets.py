"""The values of secrets, for containers of the calling node."""

from __future__ import annotations

from api.grpc.errors import translated
from api.grpc.limits import check_count
from api.grpc.link_calls import Context, LinkCalls
from gamekeeper.domain.language.named_secret import MAX_SECRETS
from gamekeeper.rpc.convert import key_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb


class SecretCalls(LinkCalls):
    """GiveSecrets."""

    async def GiveSecrets(self, request: pb.GiveSecretsRequest, context: Context) -> pb.GiveSecretsResponse:
        async with translated(context), self._node(context, "GiveSecrets") as call:
            check_count("secrets", len(request.names), MAX_SECRETS)
            key = key_from_pb(request.key)
            values = await self._services.secrets.give(call.node_id, key, list(request.names))
            return pb.GiveSecretsResponse(values={name: bytes(value) for name, value in values.items()})
