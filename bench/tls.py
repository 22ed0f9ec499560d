"""The price of mutual TLS on the node link: ``make bench-tls``.

    a log         1 GiB in the messages that agents send, one connection, plain and with TLS in turns
    a connection  from the dial to the first answer, many in a row

Both ends are in this process, so the CPU is that of both: it is what a node and the control plane spend together.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
from rich.console import Console
from rich.table import Table

from agent_worker.logs.spool_chunks import CHUNK_BYTES
from tests.fixtures.certificates import TestAuthority, channel

GIB = 1 << 30
ROUNDS = 3
CONNECTIONS = 300
UPLOAD, ASK = "/bench/Upload", "/bench/Ask"


async def _take(items: AsyncIterator[bytes], _: object) -> bytes:
    async for _item in items:
        pass
    return b"kept"


async def _answer(_: bytes, __: object) -> bytes:
    return b"here"


class Handlers(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method == UPLOAD:
            return grpc.stream_unary_rpc_method_handler(_take)
        return grpc.unary_unary_rpc_method_handler(_answer)


class End:
    """One of the two ways to dial the server."""

    def __init__(self, authority: TestAuthority, server: grpc.aio.Server, *, is_tls: bool) -> None:
        if is_tls:
            port = server.add_secure_port("127.0.0.1:0", authority.server_credentials())
        else:
            port = server.add_insecure_port("127.0.0.1:0")
        self._address = f"127.0.0.1:{port}"
        self._credentials = authority.identity(port).good_credentials if is_tls else None

    def dial(self) -> grpc.aio.Channel:
        own = [("grpc.use_local_subchannel_pool", 1)]
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._address, options=own)
        return channel(self._address, self._credentials, *own)

    async def upload(self, size: int) -> tuple[float, float]:
        """Seconds, and CPU seconds."""
        chunk = bytes(CHUNK_BYTES)
        async with self.dial() as dialled:
            call: Any = dialled.stream_unary(UPLOAD)()
            used, begin = _cpu_seconds(), time.perf_counter()
            for _ in range(size // CHUNK_BYTES):
                await call.write(chunk)
            await call.done_writing()
            await call
            return time.perf_counter() - begin, _cpu_seconds() - used

    async def connect(self) -> tuple[float, float]:
        """Milliseconds, and milliseconds of CPU, each the mean of many."""
        used, begin = _cpu_seconds(), time.perf_counter()
        for _ in range(CONNECTIONS):
            async with self.dial() as dialled:
                method: Any = dialled.unary_unary(ASK)
                await method(b"")
        took, cpu = time.perf_counter() - begin, _cpu_seconds() - used
        return took * 1000 / CONNECTIONS, cpu * 1000 / CONNECTIONS


def _cpu_seconds() -> float:
    used = psutil.Process().cpu_times()
    return float(used.user + used.system)


@asynccontextmanager
async def ends(folder: Path) -> AsyncIterator[tuple[End, End]]:
    authority, server = TestAuthority(folder), grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([Handlers()])
    plain, secure = End(authority, server, is_tls=False), End(authority, server, is_tls=True)
    await server.start()
    try:
        yield plain, secure
    finally:
        await server.stop(0)


async def main() -> None:
    table = Table("median of rounds", "plain", "mutual TLS", "ratio")
    with tempfile.TemporaryDirectory() as folder:
        async with ends(Path(folder)) as both:
            logs = [[await end.upload(GIB) for end in both] for _ in range(ROUNDS)]
            connections = [[await end.connect() for end in both] for _ in range(ROUNDS)]
    measured = [("1 GiB, seconds", logs, 0), ("1 GiB, CPU seconds", logs, 1)]
    measured += [("a connection, ms", connections, 0), ("a connection, CPU ms", connections, 1)]
    for name, rounds, index in measured:
        plain, secure = (statistics.median(row[end][index] for row in rounds) for end in (0, 1))
        ratio = statistics.median(row[1][index] / row[0][index] for row in rounds)
        table.add_row(name, f"{plain:.2f}", f"{secure:.2f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
