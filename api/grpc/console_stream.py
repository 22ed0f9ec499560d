"""The agent's half of a console: its stream, tied to the pipes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

from anyio import BrokenResourceError, ClosedResourceError

from api.services.node.console import Console
from gamekeeper.domain.run.console import ConsoleEnd
from gamekeeper.rpc.console import console_input_to_pb, console_output_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb


async def carry(console: Console, messages: AsyncIterator[pb.ConsoleOutput]) -> AsyncGenerator[pb.ConsoleInput, None]:
    """Carries the stream until the client has gone, or the agent has told the end or went away."""
    reading = asyncio.create_task(_read(console, messages))
    try:
        with suppress(ClosedResourceError):  # the client has gone
            async for given in console.to_agent.receiving:
                await console.room.acquire()
                if console.closed:
                    return
                yield console_input_to_pb(given)
        if reading.done():
            reading.result()
    finally:
        reading.cancel()


async def _read(console: Console, messages: AsyncIterator[pb.ConsoleOutput]) -> None:
    try:
        async for message in messages:
            if message.WhichOneof("body") == "taken":
                console.room.release()
                continue
            output = console_output_from_pb(message)
            if isinstance(output, ConsoleEnd):
                console.end = output
            await console.to_client.sending.send(output)
            if console.end is not None:
                return
    except (BrokenResourceError, ClosedResourceError):
        return  # the client has gone
    finally:
        console.to_client.close()
        console.to_agent.close()
        console.room.release()
