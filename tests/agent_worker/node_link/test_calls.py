"""Calls beside the session: refused while the link is down, and broken streams told in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest

from agent_worker.identity import Credentials
from agent_worker.node_link.calls import LinkCalls
from agent_worker.node_link.dial import Dial
from gamekeeper.errors import LaterError, UnavailableError
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from tests.fixtures.certificates import TestAuthority
from tests.hang import HANG_SECONDS

CREDENTIALS = Credentials("", "", "", 0, 0)  # of use to nobody, as nobody is there


async def nothing() -> AsyncIterator[Any]:
    empty: tuple[Any, ...] = ()
    for item in empty:
        yield item


async def read(stream: AsyncIterator[Any]) -> None:
    async for _ in stream:
        pass


CALLS: dict[str, Callable[[LinkCalls], Awaitable[Any]]] = {
    "report_containers": lambda calls: calls.report_containers(pb.ReportContainersRequest()),
    "report_inventory": lambda calls: calls.report_inventory(pb.Inventory()),
    "upload": lambda calls: calls.upload([]),
    "stream_metrics": lambda calls: calls.stream_metrics(nothing()),
    "subscribe": lambda calls: read(calls.subscribe(0)),
    "console": lambda calls: read(calls.console(nothing())),
}


def make_calls() -> LinkCalls:
    return LinkCalls(Dial("127.0.0.1:1", CREDENTIALS))


@pytest.mark.parametrize("name", CALLS)
async def test_while_the_link_is_down_no_call_is_tried(name: str) -> None:
    calls = make_calls()
    with pytest.raises(UnavailableError, match=r"the node link to 127\.0\.0\.1:1 is down"):
        await CALLS[name](calls)
    await calls.dial.close()


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_breaks_names_the_server(name: str) -> None:
    calls = make_calls()
    calls.connected.set()
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1: "):
        await CALLS[name](calls)
    await calls.dial.close()


async def test_a_cut_stream_is_told_apart_from_a_cancel() -> None:
    calls = make_calls()
    calls.connected.set()

    async def cut(*_: Any, **__: Any) -> None:
        raise asyncio.CancelledError

    with pytest.raises(UnavailableError, match="the stream was cut"):
        await calls._call(cut, None)

    begun = asyncio.Event()

    async def waits(*_: Any, **__: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(calls._call(waits, None))
    await begun.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    await calls.dial.close()


class Refusing(pb_grpc.NodeLinkServicer):
    """Ends a stream as a node is shut out: after its first message, and while it has more to tell."""

    after_ms = "2500"

    async def ReportMetrics(self, messages: Any, context: Any) -> Any:
        await anext(aiter(messages))
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "revoked")

    async def UploadLogs(self, messages: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "held back", (("retry-after-ms", self.after_ms),))

    async def Console(self, messages: Any, context: Any) -> Any:
        await anext(aiter(messages))
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "revoked")
        yield None


@pytest.mark.parametrize("name", ["stream_metrics", "console"])
async def test_what_a_stream_is_told_from_ends_with_it(pki: TestAuthority, name: str) -> None:
    """It would wait for ever, and asyncio tells of its end as an error of ours."""
    server = grpc.aio.server()
    pb_grpc.add_NodeLinkServicer_to_server(Refusing(), server)  # type: ignore[abstract]
    port = server.add_secure_port("127.0.0.1:0", pki.server_credentials())
    await server.start()
    calls = LinkCalls(Dial(f"127.0.0.1:{port}", pki.identity(port).good_credentials))
    calls.connected.set()
    ended = asyncio.Event()

    async def told() -> AsyncIterator[Any]:
        try:
            yield pb.MetricsBatch() if name == "stream_metrics" else pb.ConsoleOutput()
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(UnavailableError, match="revoked"):
        await (calls.stream_metrics(told()) if name == "stream_metrics" else read(calls.console(told())))
    await asyncio.wait_for(ended.wait(), HANG_SECONDS)
    await calls.dial.close()
    await server.stop(0)


async def test_a_refusal_says_when_to_come_again_or_nothing_of_use(pki: TestAuthority) -> None:
    server, refusing = grpc.aio.server(), Refusing()  # type: ignore[abstract]
    pb_grpc.add_NodeLinkServicer_to_server(refusing, server)
    port = server.add_secure_port("127.0.0.1:0", pki.server_credentials())
    await server.start()
    calls = LinkCalls(Dial(f"127.0.0.1:{port}", pki.identity(port).good_credentials))
    calls.connected.set()
    with pytest.raises(LaterError, match="held back") as caught:
        await calls.upload([])
    assert caught.value.after_seconds == 2.5
    refusing.after_ms = "-1"
    with pytest.raises(UnavailableError, match="held back") as refused:
        await calls.upload([])
    assert not isinstance(refused.value, LaterError)
    await calls.dial.close()
    await server.stop(0)
