"""The agent's side of the link where nobody is at the other end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import grpc
import pytest

from agent_worker.identity import Identity
from agent_worker.link import Introduction, Link
from gamekeeper.backoff import Backoff
from gamekeeper.domain.node import NodeFacts
from gamekeeper.domain.policy import NodePolicy
from gamekeeper.errors import UnavailableError
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc


def make_link(server: str) -> Link:
    async def facts() -> NodeFacts:
        return NodeFacts()

    identity = Identity(node_id="node-1", node_key="key")
    return Link(server, identity, Introduction(facts, NodePolicy()), lambda welcome: None)


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def test_a_call_that_fails_before_the_first_word_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends between its begin and the first write, when a server is killed in that moment."""
    link = make_link(f"127.0.0.1:{closed_port()}")
    begin = link._dial.control.Session

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

    monkeypatch.setattr(link._dial.control, "Session", lambda metadata: Late(metadata))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(link._session(Backoff()), 10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await link.close()


class Mute(pb_grpc.NodeLinkServicer):
    async def Session(self, messages: Any, context: Any) -> Any:
        async for _ in messages:
            await asyncio.Event().wait()
        yield None


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.link.WELCOME_SECONDS", 0.3)
    server = grpc.aio.server()
    pb_grpc.add_NodeLinkServicer_to_server(Mute(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    link = make_link(f"127.0.0.1:{port}")
    with pytest.raises(UnavailableError, match="did not welcome us in 0 s"):
        await asyncio.wait_for(link._session(Backoff()), 10)
    await link.close()
    await server.stop(0)
