"""A minimal control plane: takes any agent, acknowledges its heartbeats, keeps nothing.

    python examples/node_link/server.py 127.0.0.1:7999

What a real one does beside this stands in api/grpc/, the contract in proto/gamekeeper/rpc/v1.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc

from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import version_problem


class MinimalServer(pb_grpc.NodeLinkServicer):
    """Calls that it does not define answer UNIMPLEMENTED, which an agent survives."""

    def __init__(self) -> None:
        self.epochs: dict[str, int] = {}

    async def Register(self, request: pb.RegisterRequest, context: Any) -> pb.RegisterResponse:
        """A real server looks the token up and spends it; here it is the node's name."""
        if problem := version_problem(request.protocol_version, other_is="agent"):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, problem)
        return pb.RegisterResponse(node_id=request.token, node_key=f"key-of-{request.token}")

    async def Session(self, messages: AsyncIterator[pb.AgentMessage], context: Any) -> AsyncIterator[pb.ServerMessage]:
        key = dict(context.invocation_metadata()).get("authorization", "")
        node_id = str(key).removeprefix("Bearer key-of-")
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


async def serve(address: str) -> tuple[grpc.aio.Server, int]:
    """The running server and its port."""
    server = grpc.aio.server()
    pb_grpc.add_NodeLinkServicer_to_server(MinimalServer(), server)
    port = server.add_insecure_port(address)
    await server.start()
    return server, port


async def main(address: str) -> None:
    server, port = await serve(address)
    print(f"listening on port {port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7999"))
