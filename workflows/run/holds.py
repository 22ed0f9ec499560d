"""``on_failure: hold 15m``: a failed step waits for somebody who looks in, and has it retried, skipped or failed."""

from __future__ import annotations

import builtins
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.run.control import HoldAction, HoldAnswer
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.step import Reason, StepResult, StepState
    from workflows.run.node_steps import StepRunner


class Holds:
    """``check`` is the update's validator."""

    def __init__(self, progress: RunProgress, runner: StepRunner) -> None:
        self._progress = progress
        self._runner = runner
        self._answers: dict[str, HoldAnswer | None] = {}

    def check(self, answer: HoldAnswer) -> None:
        """Raises ValueError for a step that is not held, or was answered for."""
        status = self._progress.statuses.get(answer.step)
        if status is None:
            raise ValueError(f'there is no step "{answer.step}"')
        if answer.step not in self._answers or self._answers[answer.step] is not None:
            raise ValueError(f'step "{answer.step}" is not held: it is {status.state}')

    def give(self, answer: HoldAnswer) -> None:
        self._answers[answer.step] = answer

    async def settle(self, name: str, result: StepResult) -> StepResult | None:
        """Decides on a step that ended with ``result``: returns an outcome, or None for one more try."""
        hold = self._progress.steps[name].hold
        if hold is None or result.state not in (StepState.FAILED, StepState.ERROR):
            return result
        fields = {key: getattr(result, key) for key in StepResult.model_fields}
        until = workflow.now() + timedelta(seconds=hold)
        self._progress.update(name, **fields | {"state": StepState.HELD, "deadline_at": until})
        self._answers[name] = None
        try:
            await workflow.wait_condition(
                lambda: self._answers[name] is not None or self._runner.stopped_result(name) is not None,
                timeout=timedelta(seconds=hold),
                timeout_summary=f"{name} is held after a failure",
            )
        except builtins.TimeoutError:
            return result
        finally:
            answer = self._answers.pop(name)
        if answer is None or answer.action is HoldAction.FAIL:
            return result
        if answer.action is HoldAction.RETRY:
            return None
        text = f"skipped by {answer.by} after: {result.message}"
        skipped = {"state": StepState.SKIPPED, "reason": Reason.USER, "message": text}
        return result.model_copy(update=skipped)
