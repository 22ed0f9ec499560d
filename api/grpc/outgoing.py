"""Answers on their way to an agent. Whatever ends the session ends the stream of them at once, with its reason.

A task and a wait for each message, as the obvious code has them, were two thirds of what a heartbeat costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from gamekeeper.rpc.v1 import node_link_pb2 as pb

MAX_UNREAD = 16  # then the agent is not read either


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class Outgoing:
    def __init__(self) -> None:
        self._queue: asyncio.Queue[pb.ServerMessage | _End] = asyncio.Queue(MAX_UNREAD)

    async def put(self, answer: pb.ServerMessage) -> None:
        """Waits while the agent does not read."""
        await self._queue.put(answer)

    def end(self, error: BaseException | None = None) -> None:
        """Nothing comes after it, and what was not sent yet is dropped. The first end counts."""
        while not self._queue.empty():
            if isinstance(held := self._queue.get_nowait(), _End):
                error = held.error
        self._queue.put_nowait(_End(error))

    async def answers(self) -> AsyncGenerator[pb.ServerMessage, None]:
        """Raises the error of the end."""
        while not isinstance(answer := await self._queue.get(), _End):
            yield answer
        if answer.error is not None:
            raise answer.error
