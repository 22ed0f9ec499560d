"""A call as Temporal sees it, and its answer as the agent sees it: headers, credentials, deadlines, errors, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest

from tests.fakes.temporal_frontend import INFO, POLL, Context, FakeTemporal
from tests.fixtures.gateway import Certificates, Gated, NodeFiles, gated
from tests.hang import HANG_SECONDS


@pytest.fixture
def temporal() -> FakeTemporal:
    return FakeTemporal()


@pytest.fixture
async def gate(temporal: FakeTemporal, certificates: Certificates) -> AsyncIterator[Gated]:
    async with temporal.serving() as address, gated(certificates, address) as found:
        yield found


def call(
    gate: Gated, path: str, request: bytes = b"", node: NodeFiles | None = None, **options: Any
) -> grpc.aio.UnaryUnaryCall[bytes, bytes]:
    files = node or gate.admit("edge-1")
    method: Any = gate.channel(files).unary_unary(path)
    calling: grpc.aio.UnaryUnaryCall[bytes, bytes] = method(request, **{"timeout": HANG_SECONDS} | options)
    return calling


async def failure(calling: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calling
    return caught.value


def poll() -> bytes:
    queue = TaskQueue(name="node:edge-1", kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
    return PollActivityTaskQueueRequest(namespace="default", task_queue=queue).SerializeToString()


async def test_headers_that_reach_temporal(
    gate: Gated, temporal: FakeTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = {
        "authorization": "Bearer an agent's",
        "client-name": "temporal-python",
        "client-version": "1.35.0",
        "temporal-namespace": "another",
        "caller-type": "operator",
        "traceparent": "00-1-2-01",
    }
    await call(gate, INFO, metadata=tuple(sent.items()), timeout=20)
    _, found, left = temporal.seen[0]
    assert {key: found.get(key) for key in sent} == {
        "authorization": None,
        "client-name": "temporal-python",
        "client-version": "1.35.0",
        "temporal-namespace": "default",
        "caller-type": None,
        "traceparent": "00-1-2-01",
    }
    assert 0 < left < 20, "the deadline goes with the call"


async def test_the_gateways_own_credential(
    temporal: FakeTemporal, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that asks for a certificate and a key, both named by the variables of the SDK."""
    mine = certificates.node("gateway")
    (certificates.folder / "up.key").write_bytes(mine.key)
    (certificates.folder / "up.pem").write_bytes(mine.chain)
    for name, value in {
        "API_KEY": "the gateway's",
        "NAMESPACE": "fleet",
        "TLS": "true",
        "TLS_SERVER_CA_CERT_PATH": str(certificates.folder / "roots.pem"),
        "TLS_CLIENT_CERT_PATH": str(certificates.folder / "up.pem"),
        "TLS_CLIENT_KEY_PATH": str(certificates.folder / "up.key"),
        "TLS_SERVER_NAME": "gamekeeper",
        "GRPC_META_TEAM": "games",
    }.items():
        monkeypatch.setenv(f"TEMPORAL_{name}", value)
    server = certificates.server()
    credentials = grpc.ssl_server_credentials([(server.key, server.chain)], server.roots, require_client_auth=True)
    async with temporal.serving(credentials) as address, gated(certificates, address) as gate:
        await call(gate, INFO)
    _, found, _ = temporal.seen[0]
    assert found["authorization"] == "Bearer the gateway's"
    assert (found["temporal-namespace"], found["team"]) == ("fleet", "games")


async def test_errors_of_temporal_come_through_with_their_details(gate: Gated, temporal: FakeTemporal) -> None:
    async def fail(context: Context) -> bytes:
        metadata = (("grpc-status-details-bin", b"\x08\x05details"), ("x-limit", "rps"))
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "namespace rate limit exceeded", metadata)
        raise AssertionError

    temporal.answer = fail
    error = await failure(call(gate, INFO))
    trailing = dict(error.trailing_metadata())
    assert (error.code(), error.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "namespace rate limit exceeded")
    assert trailing["grpc-status-details-bin"] == b"\x08\x05details"
    assert trailing["x-limit"] == "rps"


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_a_credential_of_the_gateway_that_is_refused_is_no_fault_of_the_node(
    gate: Gated, temporal: FakeTemporal, code: grpc.StatusCode
) -> None:
    async def refuse(context: Context) -> bytes:
        await context.abort(code, "key has expired")
        raise AssertionError

    temporal.answer = refuse
    error = await failure(call(gate, INFO))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "Temporal refuses the gateway itself: key has expired; check TEMPORAL_API_KEY" in (error.details() or "")


async def test_temporal_that_is_away(certificates: Certificates, temporal: FakeTemporal) -> None:
    async with temporal.serving() as address:
        pass
    async with gated(certificates, address) as gate:
        assert (await failure(call(gate, INFO))).code() is grpc.StatusCode.UNAVAILABLE


async def test_an_agent_that_hangs_up_ends_the_poll_in_temporal(gate: Gated, temporal: FakeTemporal) -> None:
    polling = call(gate, POLL, poll())
    await asyncio.wait_for(temporal.polled.wait(), HANG_SECONDS)
    assert gate.process.limits.open_polls == 1
    polling.cancel()
    await asyncio.wait_for(temporal.hung_up.wait(), HANG_SECONDS)


async def test_a_deadline_of_an_agent_ends_the_poll(gate: Gated, temporal: FakeTemporal) -> None:
    error = await failure(call(gate, POLL, poll(), timeout=0.3))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(temporal.hung_up.wait(), HANG_SECONDS)


@pytest.mark.parametrize("found", [None, 2], ids=["removed", "revoked"])
async def test_a_node_that_is_out_loses_its_open_poll(gate: Gated, temporal: FakeTemporal, found: int | None) -> None:
    node = gate.admit("edge-1")
    polling = call(gate, POLL, poll(), node)
    await asyncio.wait_for(temporal.polled.wait(), HANG_SECONDS)
    gate.directory.generations = {} if found is None else {"edge-1": found}
    error = await failure(polling)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "gamekeeper node enrol edge-1" in (error.details() or "")
    await asyncio.wait_for(temporal.hung_up.wait(), HANG_SECONDS)
    assert (await failure(call(gate, INFO, b"", node))).code() is grpc.StatusCode.UNAUTHENTICATED
    assert [path for path, *_ in temporal.seen] == [POLL]


async def test_the_end_of_the_gateway_ends_polls_at_once(temporal: FakeTemporal, certificates: Certificates) -> None:
    async with temporal.serving() as address:
        async with gated(certificates, address) as gate:
            polling = call(gate, POLL, poll())
            await asyncio.wait_for(temporal.polled.wait(), HANG_SECONDS)
        error = await failure(polling)
        assert (error.code(), error.details()) == (
            grpc.StatusCode.UNAVAILABLE,
            "the gateway stops; the call may be repeated",
        )
        await asyncio.wait_for(temporal.hung_up.wait(), HANG_SECONDS)


async def test_many_polls_need_more_than_one_connection(gate: Gated, temporal: FakeTemporal) -> None:
    """Servers and proxies allow a connection so many streams; one more poll would wait for another node's to end."""
    polls = []
    for number in range(4):
        node = gate.admit(f"edge-{number}")
        queue = TaskQueue(name=f"node:edge-{number}", kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
        raw = PollActivityTaskQueueRequest(namespace="default", task_queue=queue).SerializeToString()
        polls += [call(gate, POLL, raw, node) for _ in range(40)]
    while gate.process.limits.open_polls < len(polls):
        await asyncio.sleep(0.01)
    assert [connection.open for connection in gate.process.upstream._connections] == [90, 70]
    for polling in polls:
        polling.cancel()
    while gate.process.limits.open_polls:
        await asyncio.sleep(0.01)


async def test_a_renewed_certificate_and_a_new_root_need_no_restart(
    temporal: FakeTemporal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("first")
    first, second = Certificates(folder), Certificates(tmp_path_factory.mktemp("second"))
    async with temporal.serving() as address, gated(first, address) as gate:
        await call(gate, INFO)
        for name in ("server.key", "server.pem", "roots.pem"):
            (folder / name).write_bytes((second.folder / name).read_bytes())
        await call(gate, INFO, b"", second.node("edge-1"))
        assert (await failure(call(gate, INFO, b"", first.node("edge-1")))).code() is grpc.StatusCode.UNAVAILABLE
