"""A minimal agent: registers, holds a session, and learns how far its clock is off.

    gamekeeper node add toy; gamekeeper node enrol toy          # prints a token
    python examples/node_link/client.py 127.0.0.1:7381 TOKEN

It takes no steps: those come from Temporal, on the task queue node:<id>. A real agent keeps its node key in a file, and
reconnects with backoff for ever: see agent_worker/node_link/session.py.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import grpc

from gamekeeper import __version__
from gamekeeper.domain.node.clock_offset import ClockOffset
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import PROTOCOL_VERSION

FACTS = pb.Facts(hostname="toy", os="any", cpu_count=1, memory_bytes=2**30)


async def beat(call: Any, seq: int, offset: ClockOffset) -> None:
    """One heartbeat and its acknowledgement, which carries the server's times."""
    sent_ns = time.time_ns()
    heartbeat = pb.Heartbeat(seq=seq, sent_ns=sent_ns, clock_offset_ns=offset.offset_ns)
    await call.write(pb.AgentMessage(heartbeat=heartbeat))
    ack = (await call.read()).heartbeat_ack
    offset.add(sent_ns, ack.received_ns, ack.sent_ns, time.time_ns())


async def run(address: str, token: str, beats: int) -> str:
    """Registers, beats so often, and leaves; the node's id. Leaving closes the session, the lease runs on."""
    async with grpc.aio.insecure_channel(address) as channel:
        link = pb_grpc.NodeLinkStub(channel)
        identity = await link.Register(pb.RegisterRequest(protocol_version=PROTOCOL_VERSION, token=token))
        # Identity is the transport's: it is never taken from a message.
        call: Any = link.Session(metadata=[("authorization", f"Bearer {identity.node_key}")])
        hello = pb.Hello(protocol_version=PROTOCOL_VERSION, agent_version=__version__, facts=FACTS, policy_json="{}")
        await call.write(pb.AgentMessage(hello=hello))
        welcome = (await call.read()).welcome
        print(f"welcomed as {welcome.node_id}, epoch {welcome.epoch}", flush=True)
        offset = ClockOffset()
        for seq in range(1, beats + 1):
            await beat(call, seq, offset)
            print(
                f"beat {seq}: {offset.round_trip_ns / 1e6:.2f} ms, clock off by {offset.offset_ns / 1e6:.2f} ms",
                flush=True,
            )
            await asyncio.sleep(welcome.heartbeat_ms / 1000)
        await call.done_writing()
        return str(identity.node_id)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    asyncio.run(run(sys.argv[1], sys.argv[2], beats=int(sys.argv[3]) if len(sys.argv) > 3 else 3))
