"""Writes to the database what an agent tells in its session, beside the session.

The session itself waits for no database: one that hangs, or takes nothing, must not make a node be called lost. What
can't be written now waits here, within bounds, and is tried again with the next message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from api.services.node.agent_session import AgentSession
from api.services.node.condition import ConditionService
from api.services.run.step_phase import StepPhaseService
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.event.event import NodeTime
from gamekeeper.domain.node.condition import Vitals
from gamekeeper.domain.run.step import StepState
from gamekeeper.errors import UnavailableError
from gamekeeper.supervised import Supervised

MAX_UNWRITTEN = 1000  # phases; a step has four or so
LAST_SECONDS = 10.0  # for what an agent told before its session ended


@dataclass(frozen=True)
class ToldPhase:
    """A phase of a step, as the agent tells it and in the words of the domain."""

    key: StepKey
    state: StepState
    message: str
    container_id: str
    told: NodeTime


class SessionWriter:
    """The unwritten words of one agent. ``care`` counts what fails, of all sessions together."""

    def __init__(
        self, session: AgentSession, phases: StepPhaseService, conditions: ConditionService, care: Supervised
    ) -> None:
        self._session = session
        self._phase_service = phases
        self._conditions = conditions
        self._care = care
        self._phases: deque[ToldPhase] = deque(maxlen=MAX_UNWRITTEN)
        self._vitals: dict[str, Vitals] = {}
        self._news = asyncio.Event()
        self._is_ending = False
        self._task = asyncio.create_task(self._write_forever())

    def phase(self, phase: ToldPhase) -> None:
        self._phases.append(phase)
        self._news.set()

    def vitals(self, source: str, vitals: Vitals) -> None:
        """Of each source the newest counts: a heartbeat tells the same kinds of values as the one before."""
        self._vitals[source] = vitals
        self._news.set()

    def end(self) -> None:
        """The session has ended. What it told is tried once more, for a while."""
        self._is_ending = True
        self._news.set()
        limit = asyncio.get_running_loop().call_later(LAST_SECONDS, self._task.cancel)
        self._task.add_done_callback(lambda _: limit.cancel())

    async def _write_forever(self) -> None:
        while not self._is_ending or self._news.is_set():
            await self._news.wait()
            self._news.clear()
            try:
                await self._write()
            except Exception as error:
                self._care.failed(error)
            else:
                self._care.succeeded()

    async def _write(self) -> None:
        while self._phases and not self._session.superseded.is_set():  # the newer session tells them again
            await self._write_phase(self._phases.popleft())
        for source, vitals in list(self._vitals.items()):
            await self._conditions.observe(self._session.node_id, vitals)
            if self._vitals[source] is vitals:
                del self._vitals[source]

    async def _write_phase(self, phase: ToldPhase) -> None:
        """Raises UnavailableError, and keeps the phase then. One that is odd in itself is told and dropped."""
        try:
            await self._phase_service.observe(
                self._session.node_id, phase.key, phase.state, phase.message, phase.container_id, phase.told
            )
        except UnavailableError:
            if len(self._phases) < MAX_UNWRITTEN:
                self._phases.appendleft(phase)
            raise
        except Exception as error:
            self._care.skipped(f"a phase of {phase.key}", error)
