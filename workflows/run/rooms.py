"""The room of a run's tries on their nodes: asked for before a start, given back when the container is over.

All that ask in one workflow task are one question, by a local activity: it costs no workflow task of its own. A try
that states nothing, on a node without limits of its operator, does not ask: the next state of the run tells of it.
"""

from __future__ import annotations

import asyncio
import builtins
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.rooms import RoomActivities
    from gamekeeper.domain.container.container_key import StepKey
    from gamekeeper.domain.language.resolved import ResolvedStep
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.run import RunSnapshot
    from gamekeeper.domain.run.step import Reason, RunStepInput, StepResult, StepState, waits_for_room
    from gamekeeper.domain.run.step_room import RoomAnswer, RoomRelease, RoomRequest, StepRoom, room_of
    from gamekeeper.temporal.policies import local_activity
    from workflows.run.command_budget import history_is_full
    from workflows.run.node_gate import NodeGate

# Steps that give room back wake those that wait, but an instance that is removed does not, nor who edits a node. Each
# look stays in the history, so the pauses grow.
LOOK_AGAIN = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=3)
LONGEST_WAIT = timedelta(days=7)


class Rooms:
    """``stopped`` tells of a step that is not to start any more."""

    def __init__(
        self, progress: RunProgress, gate: NodeGate, stopped: Callable[[str], StepResult | None], behaviour: int
    ) -> None:
        self._progress = progress
        self._gate = gate
        self._stopped = stopped
        self._is_on = behaviour >= 7
        self._held: dict[str, StepRoom] = {}
        self._kept: list[StepKey] = []
        self._noted: dict[StepKey, StepRoom] = {}
        self._released: list[RoomRelease] = []
        self._telling: list[RoomRelease] = []
        self._questions: dict[str, tuple[StepRoom, asyncio.Future[RoomAnswer]]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._news = Counter[str]()

    async def take(self, step: ResolvedStep, argument: RunStepInput) -> StepResult | RunStepInput:
        """Waits until the try has its room: its argument with what it was given, or the outcome of one that does not
        start."""
        if not self._is_on:
            return argument
        room = room_of(argument.key, step.node, argument.container)
        if not room.states_something and not self._gate.view(step.node).has_limits:
            self._noted[room.key] = self._held[step.name] = room
            return argument
        limit, pause = workflow.now() + LONGEST_WAIT, LOOK_AGAIN
        while True:
            seen = self._news[step.node]
            answer = await self._ask(step, room)
            if answer.is_granted:
                self._held[step.name] = room
                given = argument.model_copy(update={"container": answer.given_to(argument.container)})
                return self._ended_meanwhile(step.name) or given
            if end := self._stopped(step.name) or _of_no_use(
                answer, is_late=workflow.now() >= limit or history_is_full()
            ):
                return end
            message = waits_for_room(answer.why)
            if self._progress.statuses[step.name].message != message:
                self._progress.update(step.name, state=StepState.WAITING_NODE, message=message, deadline_at=None)
            await self._changed(step, seen, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if end := await self._gate.closed(step, self._progress, self._stopped):
                return end

    def _ended_meanwhile(self, name: str) -> StepResult | None:
        """The outcome of a step that was stopped while it was granted its room."""
        end = self._stopped(name)
        if end is not None:
            self.give_back(name)
        return end

    def keep(self, name: str) -> None:
        """The container of a service goes on until the run ends."""
        if name in self._held:
            self._kept.append(self._held[name].key)

    def give_back(self, name: str) -> None:
        """The container of the step's newest try is over. Asked again it changes nothing."""
        room = self._held.pop(name, None)
        if room is None:
            return
        if self._noted.pop(room.key, None) is None:  # else nobody was told of it yet
            self._released.append(RoomRelease(key=room.key, node=room.node))
        if room.key in self._kept:
            self._kept.remove(room.key)
        self._news[room.node] += 1

    def give_all_back(self) -> None:
        for name in list(self._held):
            self.give_back(name)

    def node_changed(self, node: str) -> None:
        self._news[node] += 1

    def told(self, snapshot: RunSnapshot) -> RunSnapshot:
        """The state of the run with what changed of its rooms, which is told once."""
        noted, self._telling = list(self._noted.values()), self._released
        self._noted, self._released = {}, []
        return snapshot.model_copy(update={"noted": noted, "released": self._telling})

    async def _changed(self, step: ResolvedStep, seen: int, pause: timedelta) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._stopped(step.name) is not None or self._news[step.node] != seen,
                timeout=pause,
                timeout_summary=f"{step.name} waits for room on {step.node}",
            )
        except builtins.TimeoutError:
            return

    async def _ask(self, step: ResolvedStep, room: StepRoom) -> RoomAnswer:
        answer = asyncio.get_running_loop().create_future()
        self._questions[step.name] = (room, answer)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        found: RoomAnswer = await answer
        return found

    async def _ask_all(self) -> None:
        """One question at a time, the most urgent steps first."""
        while self._questions:
            names = sorted(self._questions, key=lambda name: -self._progress.steps[name].priority)
            asked = [self._questions.pop(name) for name in names]
            released = self._telling + self._released  # who waits shall not wait for the next write as well
            request = RoomRequest(asked=[room for room, _ in asked], released=released, kept=self._kept)
            try:
                answers = await workflow.execute_local_activity_method(
                    RoomActivities.take, request, **local_activity(summary=f"room for {', '.join(names[:3])}")
                )
            except Exception as error:
                for _, future in asked:
                    future.set_exception(error)
                continue
            for (_, future), answer in zip(asked, answers, strict=True):
                future.set_result(answer)


def _of_no_use(answer: RoomAnswer, *, is_late: bool) -> StepResult | None:
    """The outcome of a step that waits no longer for its room."""
    if not answer.never and not is_late:
        return None
    message = answer.why if answer.never else f"{answer.why}; gave up waiting"
    return StepResult(state=StepState.ERROR, reason=Reason.NO_ROOM, message=message)
