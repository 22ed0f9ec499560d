"""Answers of the node link to those who speak it badly. Never UNKNOWN, INTERNAL, or an error of our own."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from api.grpc.server import SERVICE, build_server
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.log.log import LogEnd, LogGap, LogStream
from gamekeeper.rpc.convert import key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import PROTOCOL_VERSION
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.certificates import TestAuthority, channel
from tests.fixtures.raw_agent import RawAgent, code_of
from tests.hang import HANG_SECONDS

METHODS = pb.DESCRIPTOR.services_by_name["NodeLink"].methods
HELLO = pb.AgentMessage(
    hello=pb.Hello(protocol_version=PROTOCOL_VERSION, agent_version="1", policy_json="{}", instance="a")
)
KEY = pb.ContainerKey(run_id="0123456789ab", step="work")
OWN_WORDS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
}


def noise(seed: int, size: int) -> bytes:
    return hashlib.shake_256(str(seed).encode()).digest(size)


def spoiled() -> Iterator[tuple[str, bytes]]:
    """Bad bytes for each method: noise of several sizes, and a good message cut off or with one byte changed."""
    samples: dict[str, Message] = {
        "Session": HELLO,
        "ReportInventory": pb.Inventory(disks=[pb.Disk(mount="/", total_bytes=1)], problem="none"),
        "ReportMetrics": pb.MetricsBatch(samples=[pb.Sample(at_ms=1, key=KEY, values=[1.0, 2.0])]),
        "UploadLogs": pb.LogBatch(key=KEY, records=[pb.LogRecord(seq=1, stream=1, ts_ns=1, data=b"line")]),
        "Subscribe": pb.SubscribeRequest(after_seq=2**62),
    }
    for method in METHODS:
        for seed, size in enumerate((0, 1, 2, 3, 7, 20, 100, 1000, 50_000)):
            yield method.name, noise(seed, size)
        good = samples.get(method.name, pb.RenewCertificateRequest(csr="x")).SerializeToString()
        for at in range(0, len(good), 3):
            yield method.name, good[:at]
            yield method.name, good[:at] + noise(at, 1) + good[at + 1 :]


async def answer_to(api: ApiUnderTest, link: Any, method: Any, data: bytes, metadata: Any) -> grpc.StatusCode:
    """The status of a call with bytes that no stub would send; OK for a stream that answers or follows events."""
    followers = api.process.services.events._followers
    shape = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
    call = getattr(link, shape)(f"/{SERVICE}/{method.name}")

    async def once() -> AsyncIterator[bytes]:
        yield data

    started = call(once() if method.client_streaming else data, metadata=metadata, timeout=HANG_SECONDS)
    reading: Any = asyncio.ensure_future(anext(aiter(started), None) if method.server_streaming else started)
    try:
        while not reading.done() and not followers:
            await asyncio.sleep(0.005)
        if reading.done():
            reading.result()
    except grpc.aio.AioRpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    finally:
        started.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        while followers:
            await asyncio.sleep(0.005)
    return grpc.StatusCode.OK


async def test_noise_and_spoiled_messages_get_a_status_that_says_whose_fault_it_is(
    api: ApiUnderTest, raw: RawAgent, caplog: pytest.LogCaptureFixture
) -> None:
    _session = await raw.hello()
    by_name = {method.name: method for method in METHODS}
    bulk = raw.dial._channels[1]
    found: set[grpc.StatusCode] = set()
    with caplog.at_level(logging.ERROR):
        for name, data in spoiled():
            code = await answer_to(api, bulk, by_name[name], data, raw.metadata)
            assert code in OWN_WORDS, (name, data[:40], code)
            found.add(code)
    assert grpc.StatusCode.INVALID_ARGUMENT in found
    assert [record.getMessage() for record in caplog.records if record.name.startswith("api")] == []


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 10**15])
async def test_times_that_no_calendar_has_are_told_as_unknown(raw: RawAgent, number: int) -> None:
    _session = await raw.hello()
    container = pb.Container(
        id="c" * 64, key=KEY, started_at_ms=number, finished_at_ms=number, age_ms=number, ended=True
    )
    setattr(container.key, "try", 1)
    await raw.dial.control.ReportContainers(pb.ReportContainersRequest(containers=[container]), metadata=raw.metadata)
    status = pb.InstanceStatus(
        instance="arena", serial=1, revision=1, desired="running", state="ready", since_ms=number
    )
    await raw.dial.control.ReportInstances(pb.ReportInstancesRequest(instances=[status]), metadata=raw.metadata)


class Uploading:
    """Takes the place of an agent that runs a step, with its key and epoch."""

    def __init__(self, raw: RawAgent, key: pb.ContainerKey) -> None:
        self.raw = raw
        self.key = key

    async def upload(self, *records: pb.LogRecord) -> int:
        """The acknowledged number."""
        return int((await self.answer(*records)).seq)

    async def answer(self, *records: pb.LogRecord) -> pb.LogAck:
        async def batches() -> AsyncIterator[pb.LogBatch]:
            yield pb.LogBatch(key=self.key, records=records)

        answer = await self.raw.dial.bulk.UploadLogs(batches(), metadata=self.raw.metadata)
        return answer.acks[0]


@pytest.fixture
async def uploading(api: ApiUnderTest) -> AsyncIterator[Uploading]:
    await api.add_node()
    agent = await api.start_agent()
    await api.start_control_worker()
    run = await api.submit({"name": "work", "container": {"image": "image", "environment": {"DUMMY_SLEEP": "60"}}})
    await api.until_step(run["id"], "work", "running")
    raw = RawAgent(api, api.identities["node-1"])
    raw.epoch = agent.link.calls.epoch
    yield Uploading(raw, key_to_pb(StepKey(run_id=run["id"], step="work", try_=1)))
    await raw.dial.close()


async def test_a_log_with_records_that_can_not_be_is_refused_alone(uploading: Uploading) -> None:
    held = await uploading.upload()
    for record in (
        pb.LogRecord(seq=0, stream=1),
        pb.LogRecord(seq=held + 1, stream=9),
        pb.LogRecord(seq=held + 1, stream=LogStream.LINES, data=b""),
        pb.LogRecord(seq=held + 1, stream=LogStream.LINES, data=b"\xff" * 40),
        pb.LogRecord(seq=held + 1, stream=LogStream.END, data=b"\xff"),
        pb.LogRecord(seq=held + 1, stream=LogStream.END, data=b"[]"),
        pb.LogRecord(seq=held + 2, stream=LogStream.GAP, data=b'{"from": "x", "to": 2}'),
        pb.LogRecord(seq=held + 2, stream=LogStream.GAP, data=LogGap(held + 1, held + 3, "").encode()),
    ):
        assert (await uploading.answer(record)).refused, record
    assert await uploading.upload() == held


async def test_repeated_and_reordered_batches_are_one_log(api: ApiUnderTest, uploading: Uploading) -> None:
    upload, held = uploading.upload, await uploading.upload()
    one, two, three, four = (pb.LogRecord(seq=held + n, stream=1, ts_ns=n, data=b"line %d\n" % n) for n in (1, 2, 3, 4))
    assert await upload(four) == held  # there is a hole before it: it is to be sent again
    assert await upload(two, one) == held + 2
    assert await upload(one, two, three, three) == held + 3
    end = pb.LogRecord(seq=held + 5, stream=LogStream.END, data=LogEnd(True).encode())
    assert await upload(end, four, one) == held + 5
    log = (await api.http.get(f"/runs/{uploading.key.run_id}/steps/work/logs")).text
    assert log.endswith("line 1\nline 2\nline 3\nline 4\n")
    assert log.count("line 1\n") == 1


async def test_an_agent_that_never_reads_fills_nothing_and_delays_nobody(api: ApiUnderTest, raw: RawAgent) -> None:
    await api.add_node("node-2")
    other = await api.start_agent("node-2")
    slow = ("grpc.http2.bdp_probe", 0)  # 64 KiB fill it
    link = channel(api.link_address, raw.identity.good_credentials, slow)
    session = pb_grpc.NodeLinkStub(link).Session(metadata=raw.metadata)
    await session.write(HELLO)
    beat = pb.AgentMessage(heartbeat=pb.Heartbeat(seq=1, docker_error="x" * 5000))  # large, to fill windows sooner

    async def beats(count: int) -> None:
        """Waits until the other agent was heard so many times."""
        heard: set[float] = set()
        while len(heard) < count:
            heard.add(api.process.presence._beats["node-2"])
            await asyncio.sleep(0.02)

    async with asyncio.timeout(HANG_SECONDS):
        while True:
            writing = asyncio.create_task(session.write(beat))
            others = asyncio.create_task(beats(10))
            await asyncio.wait({writing, others}, return_when=asyncio.FIRST_COMPLETED)
            is_full = not writing.done()
            others.cancel()
            if is_full:
                break
    writing.cancel()
    assert other.link.calls.epoch == 1
    assert (await api.http.get("/nodes/node-2")).json()["status"] == "online"
    session.cancel()
    await link.close()


async def test_a_second_agent_with_the_same_key_waits_until_the_first_is_gone(api: ApiUnderTest, raw: RawAgent) -> None:
    first = await raw.hello(instance="first")
    epoch = raw.epoch
    for _ in range(3):
        with pytest.raises(grpc.aio.AioRpcError, match="another agent holds node node-1: epoch 1") as caught:
            await raw.hello(instance="second")
        assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert ("retry-after-ms", "1000") in tuple(caught.value.trailing_metadata() or ())
    raw.epoch = epoch
    await raw.dial.control.ReportInventory(pb.Inventory(), metadata=raw.metadata)
    refused = (await api.http.get("/events", params={"kind": "node.agent_refused"})).json()["items"]
    assert len(refused) == 1
    again = await raw.hello(instance="first")
    assert raw.epoch == epoch + 1
    assert await first.code() is grpc.StatusCode.FAILED_PRECONDITION
    again.cancel()
    async with asyncio.timeout(HANG_SECONDS):
        while api.process.presence.session("node-1") is not None:
            await asyncio.sleep(0.02)
    await raw.hello(instance="second")
    assert raw.epoch == epoch + 2


async def test_a_second_agent_is_let_in_when_the_first_is_silent(raw: RawAgent) -> None:
    _silent = await raw.hello(instance="first")
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            try:
                await raw.hello(instance="second")
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)
    assert raw.epoch == 2


async def test_health_is_told_to_every_node(api: ApiUnderTest, raw: RawAgent) -> None:
    serving, stopped = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    async with channel(api.link_address, raw.identity.good_credentials) as link:
        health = health_pb2_grpc.HealthStub(link)
        for service in ("", SERVICE):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == serving
        watch = aiter(health.Watch(health_pb2.HealthCheckRequest(service=SERVICE)))
        assert (await anext(watch)).status == serving
        stopping = asyncio.create_task(api.process.link_server.stop(2))
        assert (await asyncio.wait_for(anext(watch), HANG_SECONDS)).status == stopped
    await stopping


@pytest.mark.parametrize("reflect", [True, False])
async def test_reflection_is_there_when_it_is_asked_for(reflect: bool, tmp_path: Path) -> None:
    pki = TestAuthority(tmp_path / "ca")
    servicer: Any = type("Unimplemented", (pb_grpc.NodeLinkServicer,), {})()
    made = build_server(servicer, "127.0.0.1:0", trust=pki.trust, reflect=reflect)
    await made.start()
    async with channel(f"127.0.0.1:{made.port}", pki.identity(made.port).good_credentials) as link:
        stub = reflection_pb2_grpc.ServerReflectionStub(link)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="*")]))
        if reflect:
            names = {service.name for service in (await anext(aiter(call))).list_services_response.service}
            assert SERVICE in names
        else:
            assert await code_of(anext(aiter(call))) is grpc.StatusCode.UNIMPLEMENTED
    await made.stop(0)
