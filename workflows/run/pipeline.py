"""PipelineWorkflow: one run. It owns the run's state: nothing else writes it, and the read model only mirrors it.

This module has the messages to a run and the questions to it; ``workflows.run.interpreter`` has the work of the run.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.intake import IntakeActivities
    from gamekeeper.domain.node.node import NodeView
    from gamekeeper.domain.run.control import ApprovalAnswer, CancelWords, HoldAnswer, PauseRequest, StepCancel
    from gamekeeper.domain.run.run import RunById, RunInput, RunResult, RunState, Supersession
    from gamekeeper.domain.run.step import Reason, StepStatus
    from gamekeeper.temporal import queues, workflow_names
    from gamekeeper.temporal.policies import control_activity
    from workflows.run.cancels import to_its_end
    from workflows.run.interpreter import Interpreter


@workflow.defn(name=workflow_names.RUN, failure_exception_types=[Exception])
class PipelineWorkflow:
    @workflow.init
    def __init__(self, asked: RunInput | RunById) -> None:
        self._interpreter = Interpreter(asked) if isinstance(asked, RunInput) else None
        self._early: list[NodeView] = []
        self._superseded_by = self._cancel_words = ""
        self._cancelled = False

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

    @workflow.signal
    def superseded(self, by: Supersession) -> None:
        """The cancel that follows is asked for by a newer run of the same concurrency group."""
        self._superseded_by = by.by_run

    @workflow.signal
    def cancel_words(self, told: CancelWords) -> None:
        """The reason of the cancel that follows."""
        self._cancel_words = told.reason

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
        """Closes the workflow as the run ended: with its result, as failed, or as canceled."""
        result = await to_its_end(self._live(asked), self._cancel)
        if result.state is RunState.CANCELED:
            raise asyncio.CancelledError(result.message)
        if result.state is RunState.FAILED:
            raise ApplicationError(
                result.message or "failed",
                result,
                type="RunFailed",
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )
        return result

    async def _live(self, asked: RunInput | RunById) -> RunResult:
        if isinstance(asked, RunById):
            self._interpreter = Interpreter(await _load(asked))
            for node in self._early:
                self._interpreter.update_node(node)
            if self._cancelled:
                self._cancel()
        return await self._run.run()

    def _cancel(self) -> None:
        """A cancel that comes while the run loads waits: only a run that is known can tell that it ended."""
        self._cancelled = True
        if self._interpreter is not None:
            words = self._cancel_words or workflow.cancellation_reason() or ""
            self._interpreter.cancel(Reason.SUPERSEDED if self._superseded_by else Reason.USER, words)


async def _load(asked: RunById) -> RunInput:
    return await workflow.execute_activity_method(
        IntakeActivities.load, asked, **control_activity(queues.CONTROL_PLANE, summary="load the run")
    )
