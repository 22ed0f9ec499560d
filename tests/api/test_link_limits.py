"""A node that sends too much: each call refuses it in clear words, counts it, and goes on for all others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import pytest
from temporalio.client import Client

from api.grpc.containers import MAX_CONTAINERS
from api.grpc.limits import LIMITS
from api.services.bucket import Bucket
from api.services.node.allowance import TOLD_SECONDS, Allowance, CallLimit
from api.services.node.container import MAX_UNOWNED, UNOWNED_EVENTS_AT_ONCE, UNOWNED_EVENTS_PER_SECOND
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.errors import LaterError
from gamekeeper.rpc.convert import key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.raw_agent import RawAgent
from tests.hang import HANG_SECONDS

METHODS = list(pb.DESCRIPTOR.services_by_name["NodeLink"].methods)
sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LARGEST = 4 * 1024 * 1024
TOO_MUCH = b"\xa2\x06"  # a field that no message has, of the length that follows


@pytest.fixture
async def temporal_client() -> Client:
    """No work is done here, so no Temporal server is needed."""
    return await Client.connect("127.0.0.1:1", lazy=True)


def test_every_call_has_limits() -> None:
    assert set(LIMITS) == {method.name for method in METHODS}


def padding(size: int) -> bytes:
    """A message of a little over that size, for any call."""
    length, varint = size, bytearray()
    while length:
        varint.append((length & 127) | (128 if length > 127 else 0))
        length >>= 7
    return TOO_MUCH + bytes(varint) + b"x" * size


async def answer_to(raw: RawAgent, method: Any, message: bytes) -> grpc.aio.AioRpcError:
    """The refusal of a message that no stub would send."""
    shape = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
    link: Any = raw.dial._channels[1]
    call = getattr(link, shape)(f"/{method.containing_service.full_name}/{method.name}")

    async def once() -> AsyncIterator[bytes]:
        yield message

    started = call(once() if method.client_streaming else message, metadata=raw.metadata, timeout=HANG_SECONDS)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (anext(aiter(started)) if method.server_streaming else started)
    return caught.value


@sqlite
async def test_a_message_that_is_too_large_is_refused_and_told(api: ApiUnderTest, raw: RawAgent) -> None:
    session = await raw.hello()
    wanted = []
    for method in METHODS:
        limit = LIMITS[method.name].message_bytes
        message = padding(limit)
        refusal = await answer_to(raw, method, message)
        assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, method.name
        if limit < LARGEST:  # else gRPC itself has refused it
            told = f"{method.name} has {len(message):,} bytes, at most {limit:,} are taken"
            assert told in str(refusal.details())
            wanted.append(f'gamekeeper_link_refusals_total{{call="{method.name}",reason="size"}} 1.0')
    text = (await api.anonymous.get("/metrics")).text
    assert [line for line in text.splitlines() if line.startswith("gamekeeper_link_refusals_total")] == wanted
    await session.write(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=1)))
    assert (await session.read()).heartbeat_ack.seq == 1


def made_up(count: int, prefix: str = "c") -> pb.ReportContainersRequest:
    request = pb.ReportContainersRequest()
    for index in range(count):
        key = key_to_pb(StepKey(run_id=f"{index:032x}", step="work", try_=1))
        request.containers.append(pb.Container(id=f"{prefix}{index:06}", name="x", status="running", key=key))
    return request


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def nothing_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The allowance of a node stays used up: on a busy machine a report takes as long as it takes to come back."""
    monkeypatch.setattr("api.wiring.Allowance", partial(Allowance, clock=Clock()))


@sqlite
@pytest.mark.usefixtures("nothing_comes_back")
async def test_30_000_made_up_containers_are_refused_and_3_000_are_few_rows(api: ApiUnderTest, raw: RawAgent) -> None:
    session, begun = await raw.hello(), time.monotonic()
    report = raw.dial.control.ReportContainers
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await report(made_up(30_000), metadata=raw.metadata)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "30,000 containers in one message, at most 3,000 are taken" in str(caught.value.details())
    for prefix in "abcde":  # other ones each time
        answer = await report(made_up(MAX_CONTAINERS, prefix), metadata=raw.metadata)
        assert len(answer.verdicts) == MAX_CONTAINERS
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await report(made_up(MAX_CONTAINERS), metadata=raw.metadata)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE, "a report that is large costs as much as several"
    kept = (await api.http.get("/nodes/node-1/containers")).json()
    assert len(kept["items"] if isinstance(kept, dict) else kept) == MAX_UNOWNED
    events = (await api.http.get("/events", params={"kind": "container", "limit": 500})).json()["items"]
    most = UNOWNED_EVENTS_AT_ONCE + UNOWNED_EVENTS_PER_SECOND * (time.monotonic() - begun)
    assert MAX_UNOWNED <= len(events) <= most, "they don't fill the log"
    await session.write(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=1)))
    async with asyncio.timeout(HANG_SECONDS):
        while "LinkFlooded" not in [item["type"] for item in (await _node(api))["conditions"]]:
            await asyncio.sleep(0.02)


async def _node(api: ApiUnderTest) -> dict[str, Any]:
    found: dict[str, Any] = (await api.http.get("/nodes/node-1")).json()
    return found


@sqlite
async def test_words_about_a_machine_are_cut(api: ApiUnderTest, raw: RawAgent) -> None:
    _session = await raw.hello()
    facts = pb.Facts(hostname="h" * 100_000, os="a\0b", addresses=["1"] * 1000)
    disks = [pb.Disk(mount="m" * 10_000)]
    await raw.dial.control.ReportInventory(pb.Inventory(facts=facts, disks=disks), metadata=raw.metadata)
    found = (await _node(api))["inventory"]
    assert (len(found["facts"]["hostname"]), len(found["disks"][0]["mount"])) == (500, 500)
    assert (len(found["facts"]["addresses"]), found["facts"]["os"]) == (64, "a\ufffdb")


@sqlite
async def test_a_policy_of_brackets_is_refused_in_words(api: ApiUnderTest, raw: RawAgent) -> None:
    call = raw.dial.control.Session(metadata=raw.metadata)
    hello = pb.Hello(protocol_version=3, agent_version="1", policy_json="[" * 60_000)
    await call.write(pb.AgentMessage(hello=hello))
    with pytest.raises(grpc.aio.AioRpcError, match="policy can't be read"):
        await anext(aiter(call))


@sqlite
async def test_a_call_that_is_open_too_often_is_to_come_later(api: ApiUnderTest, raw: RawAgent) -> None:
    _session = await raw.hello()
    await api.add_node("node-2")
    other = RawAgent(api, await api.enrol("node-2"))
    _other_session = await other.hello()
    assert api.process.presence.ask_for_reports("node-1")
    open_ones: list[Any] = []
    for _ in range(LIMITS["Subscribe"].at_once):
        open_ones.append(raw.dial.control.Subscribe(pb.SubscribeRequest(after_seq=1), metadata=raw.metadata))
        await open_ones[-1].read()
    with pytest.raises(grpc.aio.AioRpcError, match="calls of Subscribe are open") as caught:
        await anext(aiter(raw.dial.control.Subscribe(pb.SubscribeRequest(after_seq=1), metadata=raw.metadata)))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert ("retry-after-ms", "1000") in tuple(caught.value.trailing_metadata() or ())
    mine: Any = other.dial.control.Subscribe(pb.SubscribeRequest(after_seq=1), metadata=other.metadata)
    assert (await mine.read()).WhichOneof("body")
    for call in (*open_ones, mine):
        call.cancel()
    await other.dial.close()


def test_a_node_that_calls_too_often_waits_and_no_other_does() -> None:
    clock = Clock()
    allowance = Allowance({"X": CallLimit(10, per_second=2, burst=3, at_once=9)}, clock)

    def ask(node: str) -> float:
        try:
            with allowance.call(node, "X"):
                return 0.0
        except LaterError as error:
            return error.after_seconds

    assert [ask("a") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert ask("b") == 0
    assert allowance.trouble("a").startswith("X: it calls X more than 2 times a second")
    assert allowance.trouble("b") == ""
    clock.now = 0.5
    assert [ask("a"), ask("a")] == [0, 0.5]
    clock.now += TOLD_SECONDS
    assert allowance.trouble("a") == ""
    assert allowance.refusals == {("X", "rate"): 3}


def test_a_bucket_gives_the_time_to_wait() -> None:
    clock = Clock()
    bucket = Bucket(10, 5, clock)
    assert [bucket.take(5), bucket.take(5)] == [0, 0.5]
    assert bucket.try_take(1) == 0.6
    clock.now = 0.5
    assert bucket.try_take(0) == 0
