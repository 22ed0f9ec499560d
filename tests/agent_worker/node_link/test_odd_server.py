"""A server whose words are odd, or none of the protocol: the agent tells so, keeps what it has, and asks again.

Found by ``fuzz/agent.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from agent_worker.node_link.membership import Joining, Membership
from agent_worker.node_link.servers import parse_servers
from agent_worker.node_link.session import Introduction, Link
from api.grpc.server import SERVICE
from gamekeeper.certificates.pem import check_pair
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.fixtures.certificates import NODE_KEY, TestAuthority, shared_own_key
from tests.hang import HANG_SECONDS

NOISE = b"\xff\xff\xff"
WELCOME = pb.Welcome(node_id="node-1", epoch=1, heartbeat_ms=50, lease_ms=60_000)


class Odd(grpc.GenericRpcHandler):
    """Says ``first`` in each session, and then waits; other calls are answered by ``answers``, as bytes. Once it
    ``is_sound`` it welcomes, and notes that beats come."""

    def __init__(self, first: bytes) -> None:
        self.first = first
        self.answers: dict[str, bytes] = {}
        self.is_sound = False
        self.sessions, self.beats = 0, asyncio.Event()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        name = handler_call_details.method.removeprefix(f"/{SERVICE}/")

        async def session(messages: Any, context: Any) -> AsyncIterator[bytes]:
            self.sessions += 1
            yield pb.ServerMessage(welcome=WELCOME).SerializeToString() if self.is_sound else self.first
            async for raw in messages:
                if pb.AgentMessage.FromString(raw).heartbeat.seq >= 3:
                    self.beats.set()

        async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
            yield self.answers[name]
            await asyncio.Event().wait()

        async def unary(request: bytes, context: Any) -> bytes:
            return self.answers[name]

        if name == "Session":
            return grpc.stream_stream_rpc_method_handler(session)
        handler = grpc.unary_stream_rpc_method_handler if name == "Subscribe" else grpc.unary_unary_rpc_method_handler
        made: grpc.RpcMethodHandler[Any, Any] = handler(stream if name == "Subscribe" else unary)
        return made


async def facts() -> NodeFacts:
    return NodeFacts()


@asynccontextmanager
async def linked(pki: TestAuthority, odd: Odd) -> AsyncIterator[Link]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([odd])
    identity = pki.identity(server.add_secure_port("127.0.0.1:0", pki.server_credentials()))
    link = Link(parse_servers("127.0.0.1"), identity, Introduction(facts, NodePolicy()), lambda welcome: None)
    await server.start()
    running = asyncio.create_task(link.run_forever())
    try:
        async with asyncio.timeout(HANG_SECONDS):
            yield link
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await link.close()
        await server.stop(0)


def welcome(**changed: Any) -> bytes:
    told = pb.Welcome()
    told.CopyFrom(WELCOME)
    told.MergeFrom(pb.Welcome(**changed))
    return pb.ServerMessage(welcome=told).SerializeToString()


@pytest.mark.parametrize(
    "first",
    [NOISE, b"", pb.ServerMessage(heartbeat_ack=pb.HeartbeatAck(seq=1)).SerializeToString()],
    ids=["noise", "empty", "acknowledgement"],
)
async def test_a_first_word_that_is_no_welcome_is_not_waited_for(pki: TestAuthority, first: bytes) -> None:
    odd = Odd(first)
    async with linked(pki, odd):
        while odd.sessions < 2:
            await asyncio.sleep(0.02)
        odd.is_sound = True
        await odd.beats.wait()


@pytest.mark.parametrize(("told", "period"), [(1, 0.05), (2**32 - 1, 60.0), (2000, 2.0)])
async def test_no_period_has_an_agent_spin_or_stand_still(pki: TestAuthority, told: int, period: float) -> None:
    async with linked(pki, Odd(welcome(heartbeat_ms=told))) as link:
        await link.connected.wait()
        assert link._period == period
        link._learn(pb.HeartbeatAck(seq=1, heartbeat_ms=told))
        assert link._period == period


async def test_messages_that_can_not_be_read_are_an_error_of_the_server(pki: TestAuthority) -> None:
    odd = Odd(welcome())
    odd.answers = {"Subscribe": NOISE, "ReportInstances": NOISE}
    async with linked(pki, odd) as link:
        await link.connected.wait()
        with pytest.raises(UnavailableError, match="can't be read"):
            async for _ in link.calls.subscribe(0):
                pass
        with pytest.raises(UnavailableError, match="can't be read"):
            await link.calls.report_instances(pb.ReportInstancesRequest())


async def test_a_certificate_that_can_not_be_used_takes_no_good_ones_place(pki: TestAuthority) -> None:
    odd = Odd(welcome())
    async with linked(pki, odd) as link:
        await link.connected.wait()
        identity = pki.identity(1)
        membership, before = Membership(Joining((), shared_own_key), identity), identity.credentials
        assert before is not None
        good = pb.RenewCertificateResponse(certificate=before.chain, roots=pki.roots, lifetime_seconds=60)
        for certificate, roots in (("x", pki.roots), (before.chain, "x"), (pki.server.chain_pem, pki.roots)):
            answer = pb.RenewCertificateResponse(certificate=certificate, roots=roots, lifetime_seconds=60)
            odd.answers["RenewCertificate"] = answer.SerializeToString()
            with pytest.raises(UnavailableError, match="gave no good certificate"):
                await membership.renew(link)
            assert identity.credentials is before
        odd.answers["RenewCertificate"] = pb.RenewCertificateResponse(
            certificate=before.chain, roots=pki.roots
        ).SerializeToString()
        with pytest.raises(UnavailableError, match="without a lifetime"):
            await membership.renew(link)
        odd.answers["RenewCertificate"] = good.SerializeToString()
        await membership.renew(link)
        assert identity.credentials is not before


def test_a_pair_is_a_key_with_its_certificate(pki: TestAuthority) -> None:
    chain = pki.identity(1).good_credentials.chain
    check_pair(NODE_KEY, chain, pki.roots)
    for key, shown, roots in ((pki.server.key_pem, chain, pki.roots), (NODE_KEY, "", pki.roots), (NODE_KEY, chain, "")):
        with pytest.raises(InvalidError, match="can't be used"):
            check_pair(key, shown, roots)
