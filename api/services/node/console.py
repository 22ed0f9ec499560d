"""Consoles: brings together a client that wants a terminal and the agent that has the container.

The client's side asks, the agent is told by its subscription and calls back. What either sends waits in a short
buffer, so that a client that does not read stops the command's output and fills no memory. When either side goes,
the other's stream ends.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from anyio import BrokenResourceError, ClosedResourceError, WouldBlock, create_memory_object_stream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from api.services.instance.instance import running_key
from api.services.node.agent_session import AgentSession
from api.services.node.presence import Presence
from api.services.run.run import RunService
from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import InstanceRow, StepRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.step import StepType
from gamekeeper.domain.node.ability import Ability
from gamekeeper.domain.run.console import (
    MAX_UNTAKEN,
    ConsoleEnd,
    ConsoleInput,
    ConsoleNews,
    ConsoleRequest,
    ConsoleSize,
    ConsoleViewers,
)
from gamekeeper.domain.run.step import StepState, observed_state
from gamekeeper.errors import ConflictError, NotFoundError, UnavailableError

T = TypeVar("T")

LOOK_SECONDS = 0.5
JOIN_SECONDS = 30.0  # a machine that is busy with games is slow to answer
MAX_CONSOLES = 200
BUFFERED = 16  # pieces each way


class Pipe(Generic[T]):
    """One direction. Closing it is safe to repeat, and ends the sender and the receiver."""

    def __init__(self) -> None:
        made: tuple[MemoryObjectSendStream[T], MemoryObjectReceiveStream[T]] = create_memory_object_stream(BUFFERED)
        self.sending, self.receiving = made

    def close(self) -> None:
        """Closes the pipe; pieces that were sent before may still be received."""
        self.sending.close()

    def abandon(self) -> None:
        self.sending.close()
        self.receiving.close()


@dataclass
class Console:
    """One terminal. ``end`` is set when the agent has told it; ``room`` counts the input it may still be sent. With
    ``has_history`` the agent begins it with the lines before."""

    request: ConsoleRequest
    node_id: str
    to_agent: Pipe[ConsoleInput] = field(default_factory=Pipe)
    to_client: Pipe[ConsoleNews] = field(default_factory=Pipe)
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_UNTAKEN))
    viewer: str = ""
    end: ConsoleEnd | None = None
    closed: bool = False
    has_history: bool = False

    def views(self, instance: str) -> bool:
        """True for a console of the instance's own process whose agent is there."""
        key = self.request.key
        is_its_own = isinstance(key, InstanceKey) and key.instance == instance and not self.request.command
        return is_its_own and self.joined.is_set()

    def close(self) -> None:
        self.closed = True
        self.to_agent.abandon()
        self.to_client.abandon()
        self.room.release()  # wakes the agent's side


class ConsoleService:
    def __init__(self, database: Database, runs: RunService, presence: Presence) -> None:
        self._database = database
        self._runs = runs
        self._presence = presence
        self._open: dict[str, Console] = {}

    @asynccontextmanager
    async def opened(
        self, run_id: str, step: str, command: tuple[str, ...], *, tty: bool, size: ConsoleSize
    ) -> AsyncIterator[Console]:
        """A console of a step, or of the instance that it ensures, as ``opened_at``. Raises also NotFoundError,
        ConflictError for one that does not run."""
        row = await self._runs.get_step(run_id, step)
        _check_runs(row)
        key: ContainerKey = StepKey(run_id=run_id, step=step, try_=max(row.try_number, row.phase_try, 1))
        instance = await self._instance_of(row)
        if instance is not None:
            key = running_key(instance)
        async with self.opened_at(row.node_id, key, command, tty=tty, size=size) as console:
            yield console

    async def _instance_of(self, row: StepRow) -> InstanceRow | None:
        if row.type != StepType.SERVICE:
            return None
        async with self._database.read() as session:
            return await InstanceRepository(session).of_step(row)

    @asynccontextmanager
    async def opened_at(
        self,
        node_id: str,
        key: ContainerKey,
        command: tuple[str, ...],
        *,
        tty: bool,
        size: ConsoleSize,
        history: int = 0,
    ) -> AsyncIterator[Console]:
        """A console whose agent has called back, closed with the block. Raises UnavailableError for a node that is
        away."""
        request = ConsoleRequest(secrets.token_urlsafe(16), key, command, tty, size, history)
        console = Console(request, node_id, viewer=current_actor())
        asked = self._ask(console)
        if asked is None:
            raise UnavailableError(f"node {node_id} is not connected", hint="try again when it is online")
        self._open[console.request.id] = console
        try:
            await self._joined(console, asked)
            self._tell_viewers(key)
            yield console
        finally:
            self._open.pop(console.request.id, None)
            console.close()
            if console.joined.is_set():
                self._tell_viewers(key)
                await self._tell(console, _kind(key, opened=False), _how(console.end))

    def _tell_viewers(self, key: ContainerKey) -> None:
        """Tells those who look at the process of an instance who they all are. One that does not read misses it."""
        if not isinstance(key, InstanceKey):
            return
        viewing = [console for console in self._open.values() if console.views(key.instance)]
        names = tuple(console.viewer for console in viewing)
        for console in viewing:
            with suppress(WouldBlock, BrokenResourceError, ClosedResourceError):
                console.to_client.sending.send_nowait(ConsoleViewers(names))

    def _ask(self, console: Console, before: AgentSession | None = None) -> AgentSession | None:
        """Asks the agent for the console and returns the session that was asked; None where there is no other than
        ``before``. Raises UnavailableError when there are too many."""
        session = self._presence.session(console.node_id)
        if session is None or session is before:
            return None
        if len(self._open) >= MAX_CONSOLES or not session.push(console.request):
            raise UnavailableError("too many consoles are open", hint="close some")
        console.has_history = bool(console.request.history) and Ability.CONSOLE_HISTORY in session.abilities
        return session

    async def _joined(self, console: Console, asked: AgentSession) -> None:
        """Waits for the agent. What was asked in a session that then broke is lost with it, and asked again."""
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                while not console.joined.is_set():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(console.joined.wait(), LOOK_SECONDS)
                    if not console.joined.is_set():
                        asked = self._ask(console, asked) or asked
        except TimeoutError as error:
            raise UnavailableError(
                f"the agent of node {console.node_id} did not answer in {JOIN_SECONDS:.0f} s"
            ) from error
        await self._tell(
            console, _kind(console.request.key, opened=True), " ".join(console.request.command)[:300] or "attached"
        )

    async def _tell(self, console: Console, kind: EventKind, message: str) -> None:
        key = console.request.key
        async with self._database.write() as session:
            if isinstance(key, StepKey):
                owner = {"run": key.run_id, "step": key.step}
            else:
                owner = {"instance": key.instance}
            record(session, Event(kind=kind, node=console.node_id, message=message, **owner))

    def join(self, node_id: str, console_id: str) -> Console:
        """Joins the agent that was asked. Raises NotFoundError for a console that is not its own, or taken."""
        console = self._open.get(console_id)
        if console is None or console.node_id != node_id or console.joined.is_set():
            raise NotFoundError("there is no such console; its client may have gone")
        console.joined.set()
        return console


def _kind(key: ContainerKey, *, opened: bool) -> EventKind:
    subject = "instance" if isinstance(key, InstanceKey) else "step"
    return EventKind.of(subject, "console_opened" if opened else "console_closed")


def _check_runs(row: StepRow) -> None:
    """Refuses a step that can have no container. Where one may run, or is held after its end, its node decides."""
    phase = StepState(row.phase) if row.phase and row.phase_try == row.try_number else None
    state = observed_state(StepState(row.state), phase)
    is_service = row.type == StepType.SERVICE and state is StepState.SUCCEEDED
    if state not in (StepState.RUNNING, StepState.HELD) and not is_service:
        raise ConflictError(f'step "{row.name}" of run {row.run_id} has no running container: it is {state.value}')


def _how(end: ConsoleEnd | None) -> str:
    if end is None:
        return "the client or the agent went away"
    return end.failed if end.exit_code is None else f"exit code {end.exit_code}"
