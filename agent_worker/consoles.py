"""The agent's half of consoles: opens what the control plane asks for, and carries it over a call of its own.

A console lives as long as its call. When either ends, for whatever reason, so does the other: nothing typed is lost
in a queue, and no command is left behind that nobody can reach.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, suppress
from typing import Any

from agent_worker.link import Link
from gamekeeper.domain.console import ConsoleEnd, ConsoleOutput, ConsoleRequest, ConsoleSize, EndOfInput
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine, ContainerStatus, EngineConsole, StartError
from gamekeeper.rpc.console import console_input_from_pb, console_output_to_pb, console_request_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

log = get_logger(__name__)

MAX_CONSOLES = 32


class Consoles:
    def __init__(self, engine: ContainerEngine, link: Link) -> None:
        self._engine = engine
        self._link = link
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, message: pb.OpenConsole) -> None:
        """Returns at once; what goes wrong is told by the console itself."""
        task = asyncio.create_task(self._carry(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, message: pb.OpenConsole) -> None:
        opening: asyncio.Future[EngineConsole | None] = asyncio.get_running_loop().create_future()
        ended = asyncio.Event()
        try:
            async with aclosing(self._link.console(self._outputs(message, opening), ended.set)) as inputs:
                async for given in inputs:
                    typed, console = console_input_from_pb(given), await opening
                    if typed is None or console is None:
                        continue
                    if not await _unless(ended, _give(console, typed)):
                        break
        except GamekeeperError as error:
            log.info("a console ended: %s", error)
        finally:
            if not opening.done():
                opening.set_result(None)
            console = opening.result()
            if console is not None:
                with suppress(GamekeeperError):
                    await console.close()

    async def _outputs(
        self, message: pb.OpenConsole, opening: asyncio.Future[EngineConsole | None]
    ) -> AsyncIterator[pb.ConsoleOutput]:
        yield pb.ConsoleOutput(console_id=message.console_id)
        try:
            console = await self._begin(console_request_from_pb(message))
        except (GamekeeperError, StartError) as error:
            yield console_output_to_pb(ConsoleEnd(None, str(error)))
            opening.set_result(None)
            return
        if opening.done():  # the client has gone meanwhile
            await console.close()
            return
        opening.set_result(console)
        async for output in _read(console):
            yield console_output_to_pb(output)

    async def _begin(self, request: ConsoleRequest) -> EngineConsole:
        if len(self._tasks) > MAX_CONSOLES:
            raise StartError(f"{MAX_CONSOLES} consoles are open on this node; close some")
        info = await self._engine.find(request.key.container_name)
        if info is None or info.owner is None or info.owner.key != request.key:
            raise StartError("the container is gone")
        if info.status is not ContainerStatus.RUNNING:
            raise StartError(f"the container is {info.status.value}")
        return await self._engine.open_console(info.id, request)


async def _read(console: EngineConsole) -> AsyncIterator[ConsoleOutput]:
    try:
        while (text := await console.read()) is not None:
            yield text
        code = await console.exit_code()
        yield ConsoleEnd(code, "" if code is not None else "the engine closed it")
    except GamekeeperError as error:
        yield ConsoleEnd(None, str(error))


async def _unless(ended: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work was done before the end came. A command that does not read blocks who writes to it."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(ended.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not working.done():
        working.cancel()
        return False
    working.result()
    return True


async def _give(console: EngineConsole, typed: bytes | ConsoleSize | EndOfInput) -> None:
    if isinstance(typed, EndOfInput):
        await console.end_input()
    elif isinstance(typed, ConsoleSize):
        await console.resize(typed)
    else:
        await console.write(typed)
