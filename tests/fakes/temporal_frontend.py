"""Temporal's frontend as a server of raw bytes: it notes who calls, and lets a test say what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from gateway.rules import SERVICE

POLL = f"/{SERVICE}/PollActivityTaskQueue"
INFO = f"/{SERVICE}/GetSystemInfo"
Context = grpc.aio.ServicerContext[bytes, bytes]


class FakeTemporal(grpc.GenericRpcHandler):
    """A server of raw bytes that notes who calls it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any], float]] = []
        self.polled = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.answer: Callable[[Context], Awaitable[bytes]] | None = None
        self.port = 0

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        async def handle(request: bytes, context: Context) -> bytes:
            metadata = dict(context.invocation_metadata() or ())
            self.seen.append((handler_call_details.method, metadata, context.time_remaining() or 0))
            if handler_call_details.method == POLL:
                return await self._poll()
            return await self.answer(context) if self.answer else b""

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _poll(self) -> bytes:
        self.polled.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.hung_up.set()
            raise
        return b""

    @asynccontextmanager
    async def serving(self, credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[str]:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers([self])
        if credentials is None:
            self.port = server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        try:
            yield f"127.0.0.1:{self.port}"
        finally:
            await server.stop(0)
