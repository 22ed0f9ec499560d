"""PipelineWorkflow: one run. It owns the run's state: nothing else writes it, and the read model only mirrors it.

What others say to a run and ask of it stands here; what the run does, in ``workflows.run.interpreter``.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.intake import IntakeActivities
    from gamekeeper.domain.node.node import NodeView
    from gamekeeper.domain.run.control import ApprovalAnswer, HoldAnswer, PauseRequest, StepCancel
    from gamekeeper.domain.run.run import RunById, RunInput, RunResult
    from gamekeeper.domain.run.step import StepStatus
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.policies import control_activity
    from workflows.run.interpreter import Interpreter


@workflow.defn(name="PipelineWorkflow", failure_exception_types=[Exception])
class PipelineWorkflow:
    @workflow.init
    def __init__(self, asked: RunInput | RunById) -> None:
        self._interpreter = Interpreter(asked) if isinstance(asked, RunInput) else None
        self._early: list[NodeView] = []

    @property
    def _run(self) -> Interpreter:
        if self._interpreter is None:
            raise ValueError("the run only just begins; ask again")
        return self._interpreter

    @workflow.signal
    def node_changed(self, node: NodeView) -> None:
        """The API tells of a node's new mode or status; steps that wait for it go on, or end when it is disabled."""
        if self._interpreter is None:
            self._early.append(node)
        else:
            self._interpreter.update_node(node)

    @workflow.signal
    def slot_free(self) -> None:
        """A run of the same concurrency group has ended."""
        if self._interpreter is not None:  # else it has yet to ask for a slot
            self._interpreter.queue.wake()

    @workflow.update
    def answer_approval(self, answer: ApprovalAnswer) -> None:
        """Somebody approves or rejects; refused for a step that does not ask."""
        self._run.approvals.give(answer)

    @answer_approval.validator
    def _check_approval(self, answer: ApprovalAnswer) -> None:
        self._run.approvals.check(answer)

    @workflow.update
    def answer_hold(self, answer: HoldAnswer) -> None:
        """Somebody decides what becomes of a held step."""
        self._run.holds.give(answer)

    @answer_hold.validator
    def _check_hold(self, answer: HoldAnswer) -> None:
        self._run.holds.check(answer)

    @workflow.update
    def set_paused(self, request: PauseRequest) -> None:
        """While a run is paused no step starts; what runs goes on, and so do time limits."""
        self._run.set_paused(request)

    @set_paused.validator
    def _check_paused(self, request: PauseRequest) -> None:
        self._run.check_paused(request)

    @workflow.update
    def cancel_step(self, request: StepCancel) -> None:
        """Ends one step, and all cells of a matrix; the run goes on as after a failure."""
        self._run.cancel_step(request)

    @cancel_step.validator
    def _check_cancel(self, request: StepCancel) -> None:
        self._run.check_cancel(request)

    @workflow.query
    def get_steps(self) -> list[StepStatus]:
        return list(self._run.progress.statuses.values())

    @workflow.run
    async def run(self, asked: RunInput | RunById) -> RunResult:
        """Ends as the run does: with its result, or as failed or cancelled."""
        if isinstance(asked, RunById):
            self._interpreter = Interpreter(await _load(asked))
            for node in self._early:
                self._interpreter.update_node(node)
        return await self._run.run()


async def _load(asked: RunById) -> RunInput:
    """A cancel that comes meanwhile waits: only a run that is known can tell that it ended."""
    loading = asyncio.create_task(
        workflow.execute_activity_method(
            IntakeActivities.load, asked, **control_activity(queues.CONTROL_PLANE, summary="load the run")
        )
    )
    try:
        return await asyncio.shield(loading)
    except asyncio.CancelledError:
        return await loading
