"""Strangers, certificates of others, floods and bombs: none is let in, and none costs another node its calls."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from temporalio.api.workflowservice.v1 import RespondActivityTaskCompletedRequest

from gateway.rules import PAYLOADS, RULES, SERVICE
from gateway.tokens import Caller, Kind, Seal, ensure_secret
from tests.fakes.temporal_frontend import INFO, FakeTemporal
from tests.fixtures.gateway import Certificates, Gated, NodeFiles, gated
from tests.fixtures.stack import free_ports
from tests.hang import HANG_SECONDS

COMPLETED = f"/{SERVICE}/RespondActivityTaskCompleted"


@pytest.fixture
async def temporal() -> AsyncIterator[FakeTemporal]:
    fake = FakeTemporal()
    async with fake.serving():
        yield fake


@pytest.fixture
async def gate(temporal: FakeTemporal, certificates: Certificates) -> AsyncIterator[Gated]:
    async with gated(certificates, f"127.0.0.1:{temporal.port}") as found:
        yield found


async def status(channel: grpc.aio.Channel, path: str = INFO, request: bytes = b"") -> grpc.StatusCode:
    method: Any = channel.unary_unary(path)
    try:
        await method(request, timeout=HANG_SECONDS)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def tls(certificates: Certificates, node: NodeFiles, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates.folder / "roots.pem")
    key, chain = certificates.folder / "a.key", certificates.folder / "a.pem"
    key.write_bytes(node.key)
    chain.write_bytes(node.chain)
    context.load_cert_chain(chain, key)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    return context


async def test_strangers_get_no_connection(
    gate: Gated, temporal: FakeTemporal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    others = Certificates(tmp_path_factory.mktemp("others"))
    trusted = gate.certificates.node("edge-1").roots
    stranger = others.node("edge-1")
    shown = {
        "no TLS": grpc.aio.insecure_channel(gate.address),
        "no certificate": grpc.aio.secure_channel(
            gate.address,
            grpc.ssl_channel_credentials(trusted),
            options=[("grpc.ssl_target_name_override", "gamekeeper")],
        ),
        "another authority's": NodeFiles(stranger.key, stranger.chain, trusted).channel(gate.address),
        "a server's": gate.certificates.server().channel(gate.address),
        "one that ran out": gate.certificates.node("edge-1", issued=timedelta(days=2)).channel(gate.address),
        "one of the future": gate.certificates.node("edge-1", issued=-timedelta(days=1)).channel(gate.address),
    }
    gate.directory.generations["edge-1"] = 1
    found = {name: await status(channel) for name, channel in shown.items()}
    assert found == dict.fromkeys(shown, grpc.StatusCode.UNAVAILABLE)
    assert temporal.seen == []
    for channel in shown.values():
        await channel.close()


async def test_a_connection_of_older_tls_carries_no_call(gate: Gated, temporal: FakeTemporal) -> None:
    """A whole gRPC call by hand: gRPC's own clients take the newest version. Where gRPC was loaded after the gateway or
    the api, as in their processes, not even the handshake succeeds."""
    context = tls(gate.certificates, gate.admit("edge-1"), ssl.TLSVersion.TLSv1_2)
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", gate.process.port, ssl=context, server_hostname="gamekeeper"
        )
    except ConnectionResetError:
        return
    headers = b"".join(
        b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
        for name, value in (
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", INFO.encode()),
            (b":authority", b"gamekeeper"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        )
    )
    frame = len(headers).to_bytes(3, "big") + b"\x01\x04\x00\x00\x00\x01" + headers
    body = b"\x00\x00\x05\x00\x01\x00\x00\x00\x01" + b"\x00" * 5
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + frame + body)
    answer = b""
    async with asyncio.timeout(HANG_SECONDS):
        while b"TLS 1.3" not in answer:
            part = await reader.read(4096)
            assert part, answer
            answer += part
    writer.transport.abort()
    assert temporal.seen == []


async def test_a_message_over_the_limit(gate: Gated, temporal: FakeTemporal) -> None:
    channel = gate.channel(gate.admit("edge-1"))
    assert await status(channel, COMPLETED, b"\0" * (PAYLOADS + 1)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    for path, rule in RULES.items():
        if rule.max_bytes < PAYLOADS:
            assert await status(channel, path, b"\0" * (rule.max_bytes + 1)) is grpc.StatusCode.INVALID_ARGUMENT, path
    assert temporal.seen == []


async def test_a_bomb_is_not_blown_up(gate: Gated, temporal: FakeTemporal) -> None:
    """256 MiB of zeros are 256 KiB when they are compressed."""
    node = gate.admit("edge-1")
    before = psutil.Process().memory_info().rss
    bomb = b"\0" * (256 << 20)
    method: Any = gate.channel(node).unary_unary(COMPLETED)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(bomb, timeout=HANG_SECONDS, compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert psutil.Process().memory_info().rss - before < 2 * len(bomb), "one copy is this test's own"
    assert temporal.seen == []


async def test_a_largest_message_passes(gate: Gated, temporal: FakeTemporal) -> None:
    seal = Seal(ensure_secret(gate.certificates.folder / "gateway.secret"))
    token = seal.wrap(Kind.ACTIVITY, Caller("edge-1", 1), b"token")
    result = {"payloads": [{"data": b"0" * (PAYLOADS - 1000)}]}
    request = RespondActivityTaskCompletedRequest(namespace="default", task_token=token, result=result)  # type: ignore[arg-type]
    assert (
        await status(gate.channel(gate.admit("edge-1")), COMPLETED, request.SerializeToString()) is grpc.StatusCode.OK
    )


async def test_a_flood_of_one_node_is_no_other_nodes(temporal: FakeTemporal, certificates: Certificates) -> None:
    async with gated(certificates, f"127.0.0.1:{temporal.port}", gateway_calls_per_second=10.0) as gate:
        flooding, quiet = (gate.channel(gate.admit(node_id)) for node_id in ("edge-1", "edge-2"))
        found = [await status(flooding) for _ in range(200)]
        assert found[:50] == [grpc.StatusCode.OK] * 50
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in found
        assert await status(quiet) is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", os.urandom(4096), b""],
    ids=["HTTP", "half a handshake", "random", "nothing"],
)
async def test_noise_leaves_no_line_in_the_log(
    certificates: Certificates, migrated_sqlite: Path, tmp_path: Path, noise: bytes
) -> None:
    port = next(free_ports)
    settings = certificates.settings(
        "127.0.0.1:1", database=f"sqlite+aiosqlite:///{migrated_sqlite}", gateway_port=port
    )
    given = {name: value for name, value in settings.model_dump().items() if value is not None}
    environment = {f"GAMEKEEPER_{name.upper()}": str(value) for name, value in given.items()}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "gateway"], env=os.environ | environment, stderr=log)
    try:
        async with asyncio.timeout(HANG_SECONDS):
            for _ in range(20):
                await _knock(port, noise)
    finally:
        process.terminate()
        assert process.wait() == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 1, lines
    assert "serving Temporal to agents" in lines[0]


async def _knock(port: int, noise: bytes) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        with suppress(OSError):
            writer.write(noise)
            writer.write_eof()
            writer.close()
            await writer.wait_closed()
        return
