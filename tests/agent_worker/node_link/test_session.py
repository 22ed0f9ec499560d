"""The agent's side of the link where nobody is at the other end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import grpc
import pytest

from agent_worker.node_link.servers import parse_servers
from agent_worker.node_link.session import Introduction, Link, _retry_after
from gamekeeper.backoff import Backoff
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import UnavailableError
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from tests.fixtures.certificates import TestAuthority
from tests.hang import HANG_SECONDS


def make_link(port: int, pki: TestAuthority) -> Link:
    async def facts() -> NodeFacts:
        return NodeFacts()

    identity = pki.identity(port)
    return Link(parse_servers("127.0.0.1"), identity, Introduction(facts, NodePolicy()), lambda welcome: None)


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def test_a_call_that_fails_before_the_first_word_says_why(
    pki: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends between its begin and the first write, when a server is killed in that moment."""
    link = make_link(closed_port(), pki)
    begin = link.calls.dial.control.Session

    async def failed(call: Any) -> None:
        await call.wait_for_connection()

    class Late:
        """A call whose first write comes after its end."""

        def __init__(self, metadata: Any) -> None:
            self._call = begin(metadata=metadata)

        async def write(self, message: Any) -> None:
            with suppress(grpc.aio.AioRpcError):
                await failed(self._call)
            await self._call.write(message)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._call, name)

    monkeypatch.setattr(link.calls.dial.control, "Session", lambda metadata: Late(metadata))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(link._session(Backoff()), HANG_SECONDS)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await link.close()


class Mute(pb_grpc.NodeLinkServicer):
    async def Session(self, messages: Any, context: Any) -> Any:
        async for _ in messages:
            await asyncio.Event().wait()
        yield None


async def test_a_server_that_says_nothing_is_given_up(pki: TestAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.node_link.session.WELCOME_SECONDS", 0.3)
    server = grpc.aio.server()
    pb_grpc.add_NodeLinkServicer_to_server(Mute(), server)  # type: ignore[abstract]
    port = server.add_secure_port("127.0.0.1:0", pki.server_credentials())
    await server.start()
    link = make_link(port, pki)
    with pytest.raises(UnavailableError, match="did not welcome us in 0 s"):
        await asyncio.wait_for(link._session(Backoff()), HANG_SECONDS)
    await link.close()
    await server.stop(0)


class Answering:
    """A session whose first answer comes when it is told to, and no other."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.reading = asyncio.Event()

    async def read(self) -> Any:
        self.reading.set()
        if self.answer.done():
            await asyncio.Event().wait()
        return await self.answer

    async def write(self, message: Any) -> None:
        return None

    def cancel(self) -> None:
        return None


async def test_a_cancel_that_comes_with_an_answer_is_heeded(pki: TestAuthority) -> None:
    link, call = make_link(1, pki), Answering()
    talking = asyncio.create_task(link._talk(call, pb.Welcome(lease_ms=60_000)))
    await call.reading.wait()
    await asyncio.sleep(0)
    call.answer.set_result(pb.ServerMessage(heartbeat_ack=pb.HeartbeatAck()))
    await asyncio.sleep(0)
    talking.cancel()
    done, _ = await asyncio.wait({talking}, timeout=HANG_SECONDS)
    assert done
    assert talking.cancelled()
    await link.close()


@pytest.mark.parametrize(
    ("told", "seconds"), [("1500", 1.5), ("99999999", 300.0), ("soon", 0.0), ("-5", 0.0), (None, 0.0)]
)
def test_a_server_says_when_to_come_back(told: str | None, seconds: float) -> None:
    trailing = grpc.aio.Metadata(*([("retry-after-ms", told)] if told else []))
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailing)
    assert _retry_after(error) == seconds


class Busy(pb_grpc.NodeLinkServicer):
    """Tells everybody to stand in line for no time at all."""

    def __init__(self) -> None:
        self.peers: list[str] = []

    async def Session(self, messages: Any, context: Any) -> Any:
        self.peers.append(context.peer())
        await context.abort(grpc.StatusCode.UNAVAILABLE, "busy", (("retry-after-ms", "1"), ("in-line", "1")))
        yield None


async def test_who_stands_in_line_comes_when_it_is_told_over_the_same_connection(pki: TestAuthority) -> None:
    """Its own backoff would make it later each time, and a new connection is a handshake that a busy server pays."""
    busy, server = Busy(), grpc.aio.server()  # type: ignore[abstract]
    pb_grpc.add_NodeLinkServicer_to_server(busy, server)
    port = server.add_secure_port("127.0.0.1:0", pki.server_credentials())
    await server.start()
    link = make_link(port, pki)
    link._servers = parse_servers("127.0.0.1,127.0.0.1")
    running = asyncio.create_task(link.run_forever())
    async with asyncio.timeout(HANG_SECONDS):
        while len(busy.peers) < 50:  # with a backoff that grows to 30 s this would take a quarter of an hour
            await asyncio.sleep(0.01)
    assert len(set(busy.peers)) < len(busy.peers) / 5  # a machine that is late may dial anew once
    running.cancel()
    await link.close()
    await server.stop(0)
