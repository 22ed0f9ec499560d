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

from anyio import create_memory_object_stream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from api.services.node.agent_session import AgentSession
from api.services.node.presence import Presence
from api.services.run.run import RunService
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import StepRow
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.pipeline import StepType
from gamekeeper.domain.run.console import (
    MAX_UNTAKEN,
    ConsoleEnd,
    ConsoleInput,
    ConsoleOutput,
    ConsoleRequest,
    ConsoleSize,
)
from gamekeeper.domain.run.step import StepKey, StepState, observed_state
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
    """One terminal. ``end`` is set when the agent has told it; ``room`` counts the input it may still be sent."""

    request: ConsoleRequest
    node_id: str
    to_agent: Pipe[ConsoleInput] = field(default_factory=Pipe)
    to_client: Pipe[ConsoleOutput] = field(default_factory=Pipe)
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_UNTAKEN))
    end: ConsoleEnd | None = None
    closed: bool = False

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
        """A console whose agent has called back, closed with the block.

        Raises NotFoundError, ConflictError for a step that does not run, UnavailableError for a node that is away.
        """
        row = await self._runs.get_step(run_id, step)
        _check_runs(row)
        key = StepKey(run_id=run_id, step=step, try_=max(row.try_number, row.phase_try, 1))
        console = Console(ConsoleRequest(secrets.token_urlsafe(16), key, command, tty, size), row.node_id)
        asked = self._ask(console)
        if asked is None:
            raise UnavailableError(f"node {row.node_id} is not connected", hint="try again when it is online")
        self._open[console.request.id] = console
        try:
            await self._joined(console, asked)
            yield console
        finally:
            self._open.pop(console.request.id, None)
            console.close()
            if console.joined.is_set():
                await self._tell(console, EventKind.STEP_CONSOLE_CLOSED, _how(console.end))

    def _ask(self, console: Console, before: AgentSession | None = None) -> AgentSession | None:
        """Asks the agent for the console and returns the session that was asked; None where there is no other than
        ``before``. Raises UnavailableError when there are too many."""
        session = self._presence.session(console.node_id)
        if session is None or session is before:
            return None
        if len(self._open) >= MAX_CONSOLES or not session.push(console.request):
            raise UnavailableError("too many consoles are open", hint="close some")
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
        await self._tell(console, EventKind.STEP_CONSOLE_OPENED, " ".join(console.request.command)[:300] or "attached")

    async def _tell(self, console: Console, kind: EventKind, message: str) -> None:
        key = console.request.key
        async with self._database.write() as session:
            event = Event(kind=kind, node=console.node_id, run=key.run_id, step=key.step, message=message)
            record(session, event)

    def join(self, node_id: str, console_id: str) -> Console:
        """Joins the agent that was asked. Raises NotFoundError for a console that is not its own, or taken."""
        console = self._open.get(console_id)
        if console is None or console.node_id != node_id or console.joined.is_set():
            raise NotFoundError("there is no such console; its client may have gone")
        console.joined.set()
        return console


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
