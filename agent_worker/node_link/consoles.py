"""The agent's half of consoles: opens each console that the control plane asks for, over a call of its own.

A console lives as long as its call. When either ends, for whatever reason, so does the other: nothing typed is lost
in a queue, and no command is left behind that nobody can reach.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress

from agent_worker.node_link.session import Link
from agent_worker.node_link.viewing import ViewedConsole
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.node.judged import Judged
from gamekeeper.domain.run.console import (
    MAX_UNTAKEN,
    ConsoleEnd,
    ConsoleOutput,
    ConsoleRequest,
    ConsoleSize,
    EndOfInput,
)
from gamekeeper.errors import GamekeeperError, InvalidError, PolicyError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine, ContainerInfo, ContainerStatus, StartError
from gamekeeper.ports.engine_console import EngineConsole
from gamekeeper.ports.node_policy import OwnPolicy
from gamekeeper.rpc.console import console_input_from_pb, console_output_to_pb, console_request_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

log = get_logger(__name__)

MAX_CONSOLES = 32
BUFFERED = 16
Opening = asyncio.Future[EngineConsole | None]
Outgoing = asyncio.Queue[pb.ConsoleOutput | None]
Incoming = asyncio.Queue[pb.ConsoleInput]


def itself(key: ContainerKey) -> Sequence[ContainerKey]:
    return [key]


class Consoles:
    """``names`` tells under which keys the container of one may be here: a service's, that an instance has adopted."""

    def __init__(
        self,
        engine: ContainerEngine,
        link: Link,
        policy: OwnPolicy,
        names: Callable[[ContainerKey], Sequence[ContainerKey]] = itself,
    ) -> None:
        self._engine = engine
        self._link = link
        self._policy = policy
        self._names = names
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, message: pb.OpenConsole) -> None:
        """Returns at once; what goes wrong is told by the console itself."""
        task = asyncio.create_task(self._carry(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, message: pb.OpenConsole) -> None:
        opening: Opening = asyncio.get_running_loop().create_future()
        outgoing = Outgoing(BUFFERED)
        outgoing.put_nowait(pb.ConsoleOutput(console_id=message.console_id))
        speaking = asyncio.create_task(self._speak(message, opening, outgoing))
        try:
            await self._listen(opening, outgoing)
        except GamekeeperError as error:
            log.info("a console ended: %s", error)
        finally:
            console = await opening
            speaking.cancel()
            if console is not None:
                with suppress(GamekeeperError):
                    await console.close()

    async def _listen(self, opening: Opening, outgoing: Outgoing) -> None:
        """Takes input until the call ends. A call shows its end only after all before it has been read. So reading
        never waits for the command; input that the command has not taken yet waits here."""
        typed = Incoming()
        giving = asyncio.create_task(_give_all(typed, opening, outgoing))
        try:
            async with aclosing(self._link.calls.console(_all(outgoing))) as inputs:
                async for given in inputs:
                    if typed.qsize() > MAX_UNTAKEN:
                        raise InvalidError(f"the server sent more than {MAX_UNTAKEN} pieces that were not taken")
                    typed.put_nowait(given)
        finally:
            giving.cancel()

    async def _speak(self, message: pb.OpenConsole, opening: Opening, outgoing: Outgoing) -> None:
        """Begins, and tells what is written. Sets ``opening`` whatever happens."""
        try:
            console = await self._begin(console_request_from_pb(message))
        except (GamekeeperError, StartError) as error:
            opening.set_result(None)
            await outgoing.put(console_output_to_pb(ConsoleEnd(None, str(error))))
        else:
            opening.set_result(console)
            if console.history is not None:
                await outgoing.put(console_output_to_pb(console.history))
            async for output in _read(console):
                await outgoing.put(console_output_to_pb(output))
        finally:
            if not opening.done():
                opening.set_result(None)
        await outgoing.put(None)

    async def _begin(self, request: ConsoleRequest) -> EngineConsole:
        if len(self._tasks) > MAX_CONSOLES:
            raise StartError(f"{MAX_CONSOLES} consoles are open on this node; close some")
        info = await self._find(request.key)
        if request.command:
            self._check_policy(info)
        if info.status is ContainerStatus.EXITED and request.command:
            return await self._engine.look_in(info.id, request)
        if info.status is not ContainerStatus.RUNNING:
            raise StartError(f"the container is {info.status.value}")
        console = await self._engine.open_console(info.id, request)
        return console if request.command else ViewedConsole(console, request.key)

    def _check_policy(self, info: ContainerInfo) -> None:
        """A command is a new process with all that its container has, so the policy of now has to allow that. Nobody
        knows what a container of an older agent was asked for; one that has ended is not begun again."""
        judged = Judged.from_label(info.judged)
        if judged is None:
            if info.status is ContainerStatus.EXITED:
                words = "it was made by an agent of an older version, so the policy can't be asked again"
                raise PolicyError(words, hint="run its step again")
            return
        violations = self._policy.violations(judged.container, judged.subject)
        if violations:
            node = info.owner.node if info.owner else ""
            words = "; ".join(map(str, violations))
            raise PolicyError(f"the policy of node {node} forbids a command in it by now: {words}")

    async def _find(self, key: ContainerKey) -> ContainerInfo:
        for name in self._names(key):
            info = await self._engine.find(name.container_name)
            if info is not None and info.owner is not None and info.owner.key == name:
                return info
        raise StartError("the container is gone")


async def _read(console: EngineConsole) -> AsyncIterator[ConsoleOutput]:
    try:
        while (text := await console.read()) is not None:
            yield text
        code = await console.exit_code()
        yield ConsoleEnd(code, "" if code is not None else "the engine closed it")
    except GamekeeperError as error:
        yield ConsoleEnd(None, str(error))


async def _all(outgoing: Outgoing) -> AsyncIterator[pb.ConsoleOutput]:
    while (message := await outgoing.get()) is not None:
        yield message


async def _give_all(typed: Incoming, opening: Opening, outgoing: Outgoing) -> None:
    """Passes input on, and acknowledges each piece. The end of the output tells of a command that has gone."""
    with suppress(GamekeeperError):
        while True:
            given, console = console_input_from_pb(await typed.get()), await opening
            if given is not None and console is not None:
                await _give(console, given)
            await outgoing.put(pb.ConsoleOutput(taken=1))


async def _give(console: EngineConsole, typed: bytes | ConsoleSize | EndOfInput) -> None:
    if isinstance(typed, EndOfInput):
        await console.end_input()
    elif isinstance(typed, ConsoleSize):
        await console.resize(typed)
    else:
        await console.write(typed)
