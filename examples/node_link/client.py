"""A minimal agent: joins, holds a session over mutual TLS, and learns how far its clock is off.

    gamekeeper node add toy; gamekeeper node enrol toy          # prints a token
    python examples/node_link/client.py 127.0.0.1:7380 TOKEN

It takes no steps: those come from Temporal, on the task queue node:<id>. A real agent keeps its key and certificate in
files, renews the certificate, and reconnects with backoff for ever: see agent_worker/node_link/.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from typing import Any

import grpc

from gamekeeper import __version__
from gamekeeper.certificates.node_key import csr, new_key
from gamekeeper.domain.node.clock_offset import ClockOffset
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import PROTOCOL_VERSION

FACTS = pb.Facts(hostname="toy", os="any", cpu_count=1, memory_bytes=2**30)
SERVER_NAME = [("grpc.ssl_target_name_override", "gamekeeper")]  # whatever its address is


def join(rest: str, token: str, key: str) -> dict[str, Any]:
    """Trades a token for a certificate. Elsewhere than on loopback it is HTTPS, and the pin is to be checked first."""
    body = {"token": token, "csr": csr(key), "protocol_version": PROTOCOL_VERSION}
    request = urllib.request.Request(f"http://{rest}/api/v1/join", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        joined: dict[str, Any] = json.load(answer)
        return joined


async def beat(call: Any, seq: int, offset: ClockOffset) -> None:
    """One heartbeat and its acknowledgement, which carries the server's times."""
    sent_ns = time.time_ns()
    heartbeat = pb.Heartbeat(seq=seq, sent_ns=sent_ns, clock_offset_ns=offset.offset_ns)
    await call.write(pb.AgentMessage(heartbeat=heartbeat))
    ack = (await call.read()).heartbeat_ack
    offset.add(sent_ns, ack.received_ns, ack.sent_ns, time.time_ns())


async def run(address: str, key: str, joined: dict[str, Any], beats: int) -> None:
    """Beats so often, and leaves. Leaving closes the session, the lease runs on."""
    own = grpc.ssl_channel_credentials(joined["roots"].encode(), key.encode(), joined["certificate"].encode())
    async with grpc.aio.secure_channel(address, own, options=SERVER_NAME) as channel:
        # Identity is the transport's: it stands in the certificate, and is never taken from a message.
        call: Any = pb_grpc.NodeLinkStub(channel).Session()
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


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    own_key = new_key()
    answer = join(sys.argv[1], sys.argv[2], own_key)
    link = f"{sys.argv[1].rpartition(':')[0]}:{answer['link_port']}"
    asyncio.run(run(link, own_key, answer, beats=int(sys.argv[3]) if len(sys.argv) > 3 else 3))
