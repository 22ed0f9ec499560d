"""The call by which an agent joins a console."""

from __future__ import annotations

from collections.abc import AsyncIterator

from api.grpc.console_stream import carry
from api.grpc.errors import translated
from api.grpc.link_calls import Context, LinkCalls
from gamekeeper.rpc.v1 import node_link_pb2 as pb


class ConsoleCalls(LinkCalls):
    """Console."""

    async def Console(
        self, messages: AsyncIterator[pb.ConsoleOutput], context: Context
    ) -> AsyncIterator[pb.ConsoleInput]:
        async with translated(context), self._node(context, "Console") as call:
            first = await anext(aiter(messages), None)
            console = self._services.consoles.join(call.node_id, first.console_id if first is not None else "")
            async for message in call.stream(carry(console, messages)):
                yield message
