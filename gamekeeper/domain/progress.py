"""How far a run is: the state of every step and what may happen next. Pure, so that the workflow stays thin."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gamekeeper.domain.container import Container
from gamekeeper.domain.expressions import ExpressionError, Values, evaluate, render_tree, uses_status_function
from gamekeeper.domain.graph import ancestors, any_failed, ended_well
from gamekeeper.domain.run import ResolvedPipeline, ResolvedStep, RunState
from gamekeeper.domain.step import Reason, StepResult, StepState, StepStatus

RETRYABLE = {
    Reason.EXIT_CODE: "failure",
    Reason.UNHEALTHY: "failure",
    Reason.TIMEOUT: "timeout",
    Reason.OOM: "oom",
    Reason.PULL_FAILED: "pull",
    Reason.AGENT_LOST: "agent_lost",
}


class RunProgress:
    """The steps of one run. ``take_changes`` hands out what changed since it was last asked."""

    def __init__(self, run_id: str, pipeline: ResolvedPipeline) -> None:
        self.run_id = run_id
        self.pipeline = pipeline
        self.state = RunState.QUEUED
        self.cancelled = False
        steps = pipeline.all_steps()
        finals = {step.name for step in pipeline.finally_}
        self.steps = {step.name: step for step in steps}
        self.statuses = {
            step.name: StepStatus(
                name=step.name,
                position=index,
                type=step.type.value,
                node=step.node,
                needs=step.needs,
                finally_=step.name in finals,
            )
            for index, step in enumerate(steps)
        }
        self._needs = {step.name: step.needs for step in steps}
        self._changed = dict.fromkeys(self.statuses)

    def update(self, name: str, **fields: Any) -> None:
        self.statuses[name] = self.statuses[name].model_copy(update=fields)
        self._changed[name] = None

    def take_changes(self) -> list[StepStatus]:
        changed = [self.statuses[name] for name in self._changed]
        self._changed = {}
        return changed

    @property
    def has_changes(self) -> bool:
        return bool(self._changed)

    def begin_try(self, name: str, number: int, *, waits_until: datetime | None) -> None:
        """A new try is handed to the node; ``waits_until`` is set where the node is not there to take it."""
        state = StepState.WAITING_NODE if waits_until else StepState.STARTING
        cleared = dict.fromkeys(("reason", "exit_code", "started_at", "finished_at"))
        empty = dict.fromkeys(("message", "container_id", "digest"), "")
        self.update(name, state=state, try_=number, deadline_at=waits_until, ports=[], **cleared, **empty)

    def finish(self, name: str, result: StepResult) -> None:
        fields = {key: getattr(result, key) for key in StepResult.model_fields}
        self.update(name, deadline_at=None, **fields)

    def skip(self, name: str, reason: Reason, message: str = "") -> None:
        self.update(name, state=StepState.SKIPPED, reason=reason, message=message)

    def decide(self, name: str) -> StepResult | None:
        """None when the step may start; else the outcome it has without starting.

        A step whose ``if`` uses no status function starts only when all it needs ended well.
        """
        step = self.steps[name]
        condition = step.if_
        if (condition is None or not uses_status_function(condition)) and not self._needs_ended_well(name):
            return StepResult(
                state=StepState.SKIPPED, reason=Reason.UPSTREAM, message="a step it needs did not end well"
            )
        if condition is None:
            return None
        try:
            value = evaluate(condition, self.values(name))
        except ExpressionError as error:
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=f"if: {error.message}")
        if not isinstance(value, bool):
            return StepResult(
                state=StepState.ERROR, reason=Reason.INTERNAL, message=f'if must give a boolean, got "{value}"'
            )
        return None if value else StepResult(state=StepState.SKIPPED, reason=Reason.CONDITION, message="if was false")

    def _needs_ended_well(self, name: str) -> bool:
        return all(self._ended_well(need) for need in self._needs[name])

    def _ended_well(self, name: str) -> bool:
        status = self.statuses[name]
        return ended_well(status.state, status.reason, self.steps[name].continue_on_error)

    def render_container(self, name: str) -> Container:
        """The step's container with the last templates filled in. Raises ExpressionError or a ValidationError."""
        container = self.steps[name].container
        dumped = container.model_dump(exclude_unset=True)
        rendered = render_tree(dumped, self.values(name))
        return container if rendered == dumped else Container.model_validate(rendered)

    def values(self, name: str) -> Values:
        """What the expressions of step ``name`` may read."""
        upstream = ancestors(self._needs, name)
        if self.statuses[name].finally_:
            upstream = upstream | {other for other, status in self.statuses.items() if not status.finally_}
        failed = any(not self._ended_well(other) for other in upstream)
        return Values(
            args=self.pipeline.args,
            envs=self.pipeline.envs,
            steps={other: _as_value(self.statuses[other]) for other in sorted(upstream)},
            run={"id": self.run_id, "name": self.pipeline.name, "status": self.outcome().value},
            node={"id": self.statuses[name].node},
            status={
                "success": not failed and not self.cancelled,
                "failure": failed and not self.cancelled,
                "cancelled": self.cancelled,
                "always": True,
            },
        )

    def outcome(self) -> RunState:
        """How the run would end with what is known now."""
        if self.cancelled:
            return RunState.CANCELED
        pairs = [(status.state, self.steps[name].continue_on_error) for name, status in self.statuses.items()]
        return RunState.FAILED if any_failed(pairs) else RunState.SUCCEEDED

    def first_failure(self) -> StepStatus | None:
        bad = (StepState.FAILED, StepState.ERROR, StepState.CANCELED)
        for name, status in self.statuses.items():
            if status.state in bad and not self.steps[name].continue_on_error:
                return status
        return None

    def markdown(self) -> str:
        """The run as a table, for the Temporal web UI."""
        rows = ["| step | state | node | try | |", "| --- | --- | --- | --- | --- |"]
        for status in self.statuses.values():
            note = status.message or (status.reason.value if status.reason else "")
            rows.append(f"| {status.name} | {status.state} | {status.node} | {status.try_ or ''} | {note} |")
        return "\n".join(rows[:202])


def _as_value(status: StepStatus) -> Mapping[str, Any]:
    return {"status": status.state.value, "exit_code": status.exit_code, "outputs": {}}


def may_retry(step: ResolvedStep, result: StepResult, tries: int) -> bool:
    """Whether the step's own ``retry`` asks for another try after ``tries`` of them."""
    retry = step.retry
    if result.state not in (StepState.FAILED, StepState.ERROR) or tries >= retry.attempts or result.reason is None:
        return False
    if RETRYABLE.get(result.reason) not in retry.on:
        return False
    return not retry.exit_codes or result.reason is not Reason.EXIT_CODE or result.exit_code in retry.exit_codes


def retry_delay(step: ResolvedStep, tries: int) -> float:
    """Seconds before the try after ``tries`` of them."""
    retry = step.retry
    return min(retry.max_backoff, retry.backoff * retry.factor ** min(tries - 1, 64))
