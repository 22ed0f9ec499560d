"""The outcome of a try whose activity gave none, because the machinery failed."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, TimeoutType

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.language.units import format_duration
    from gamekeeper.domain.run.step import Reason, StepResult, StepState


def result_of(error: ActivityError, node: str, waited: timedelta) -> StepResult:
    cause = error.cause
    if isinstance(cause, TimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START:
        message = f"node {node} did not take the step within {format_duration(waited)}; is its agent running?"
        return StepResult(state=StepState.ERROR, reason=Reason.AGENT_LOST, message=message)
    if isinstance(cause, TimeoutError):
        message = f"the agent of node {node} stopped answering"
        return StepResult(state=StepState.ERROR, reason=Reason.AGENT_LOST, message=message)
    message = cause.message if isinstance(cause, ApplicationError) else str(cause or error)
    return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=message)
