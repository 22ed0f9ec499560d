"""A minimal control plane: takes any agent that its CA signed for, acknowledges its heartbeats, keeps nothing.

What a real one does beside this stands in api/grpc/, the contract in proto/gamekeeper/rpc/v1. It also lets nodes
join over REST; here ``both.py`` asks the CA itself.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc

from gamekeeper.certificates.authority import Authority
from gamekeeper.certificates.node_name import node_of
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import version_problem


class MinimalServer(pb_grpc.NodeLinkServicer):
    """Calls that it does not define answer UNIMPLEMENTED, which an agent survives."""

    def __init__(self) -> None:
        self.epochs: dict[str, int] = {}

    async def Session(self, messages: AsyncIterator[pb.AgentMessage], context: Any) -> AsyncIterator[pb.ServerMessage]:
        node_id = node_of(context.auth_context()).node_id
        async for message in messages:
            received_ns = time.time_ns()
            if message.HasField("hello"):
                if problem := version_problem(message.hello.protocol_version, other_is="agent"):
                    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, problem)
                # One epoch a session: what an older one writes later is refused.
                epoch = self.epochs[node_id] = self.epochs.get(node_id, 0) + 1
                print(f"{node_id} is here, epoch {epoch}", flush=True)
                yield pb.ServerMessage(
                    welcome=pb.Welcome(node_id=node_id, epoch=epoch, heartbeat_ms=200, lease_ms=2000)
                )
            elif message.HasField("heartbeat"):
                ack = pb.HeartbeatAck(seq=message.heartbeat.seq, received_ns=received_ns, sent_ns=time.time_ns())
                yield pb.ServerMessage(heartbeat_ack=ack)


async def serve(address: str, authority: Authority) -> tuple[grpc.aio.Server, int]:
    """The running server and its port. Who has no certificate of the authority gets no connection."""
    now = datetime.now(UTC)
    own, roots = authority.issue_server([], now), authority.roots_pem(now)
    pair = (own.key_pem.encode(), own.chain_pem.encode())
    server = grpc.aio.server()
    pb_grpc.add_NodeLinkServicer_to_server(MinimalServer(), server)
    port = server.add_secure_port(
        address, grpc.ssl_server_credentials([pair], roots.encode(), require_client_auth=True)
    )
    await server.start()
    return server, port
