"""Approvals: steps that wait for somebody's word, given to the run's workflow as an update."""

from __future__ import annotations

import builtins
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.language.evaluation import render
    from gamekeeper.domain.language.expressions import ExpressionError
    from gamekeeper.domain.language.resolved import ResolvedApproval
    from gamekeeper.domain.language.units import format_duration
    from gamekeeper.domain.run.control import ApprovalAnswer
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.step import Reason, StepResult, StepState
    from workflows.run.node_steps import StepRunner


class ApprovalRunner:
    """``check`` is the update's validator: an answer that it refuses leaves no trace in the history."""

    def __init__(self, progress: RunProgress, runner: StepRunner) -> None:
        self._progress = progress
        self._runner = runner
        self._waiting: set[str] = set()
        self._answers: dict[str, ApprovalAnswer] = {}

    def check(self, answer: ApprovalAnswer) -> None:
        """Raises ValueError for an approval that is not asked for, or not any more."""
        given = self._answers.get(answer.step)
        if given is not None:
            word = "approved" if given.approved else "rejected"
            raise ValueError(f'step "{answer.step}" was {word} already by {given.by}')
        status = self._progress.statuses.get(answer.step)
        if answer.step not in self._waiting:
            state = f"it is {status.state}" if status else "there is no such step"
            raise ValueError(f'step "{answer.step}" waits for no approval: {state}')

    def give(self, answer: ApprovalAnswer) -> None:
        self._answers[answer.step] = answer

    async def run(self, name: str) -> StepResult:
        """Waits until the approval is answered, has expired, or is called off."""
        asked = self._progress.steps[name].approval or ResolvedApproval(message="", expires=0)
        try:
            message = str(render(asked.message, self._progress.values(name)))
        except ExpressionError as error:
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=error.message)
        since, limit = workflow.now(), timedelta(seconds=asked.expires)
        self._progress.update(
            name, state=StepState.RUNNING, message=message, started_at=since, deadline_at=since + limit
        )
        self._waiting.add(name)
        try:
            await workflow.wait_condition(
                lambda: name in self._answers or self._runner.stopped_result(name) is not None,
                timeout=limit,
                timeout_summary=f"{name} waits for an approval",
            )
        except builtins.TimeoutError:
            text = f"nobody answered within {format_duration(limit)}"
            result = StepResult(state=StepState.FAILED, reason=Reason.TIMEOUT, message=text)
        else:
            answer = self._answers.get(name)
            result = _outcome(answer) if answer else self._runner.stopped_result(name) or _outcome(None)
        finally:
            self._waiting.discard(name)
        return result.model_copy(update={"started_at": since, "finished_at": workflow.now()})


def _outcome(answer: ApprovalAnswer | None) -> StepResult:
    if answer is None:
        return StepResult(state=StepState.CANCELED, reason=Reason.USER)
    said = f"by {answer.by}" + (f": {answer.comment}" if answer.comment else "")
    outputs = {"by": answer.by, "comment": answer.comment}
    if answer.approved:
        return StepResult(state=StepState.SUCCEEDED, message=f"approved {said}", outputs=outputs)
    return StepResult(state=StepState.FAILED, reason=Reason.REJECTED, message=f"rejected {said}", outputs=outputs)
