"""Steps that run another stored pipeline: a run of its own, as a child workflow that ends with its parent."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, ChildWorkflowError

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.intake import IntakeActivities
    from gamekeeper.domain.language.evaluation import as_texts, render_tree
    from gamekeeper.domain.language.resolved import ResolvedCall, ResolvedStep
    from gamekeeper.domain.language.units import format_duration
    from gamekeeper.domain.run.limits import MAX_RENDERED, check_size
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.run import AcceptedRun, RunCall, RunResult
    from gamekeeper.domain.run.step import Reason, StepResult, StepState
    from gamekeeper.errors import InvalidError
    from gamekeeper.temporal import queues, search_attributes, workflow_names
    from gamekeeper.temporal.ids import run_workflow_id
    from gamekeeper.temporal.policies import control_activity


class PipelineCalls:
    """``live`` holds the child workflows that go on, for whoever stops them."""

    def __init__(self, progress: RunProgress, callers: list[str]) -> None:
        self._progress = progress
        self._callers = [*callers, progress.pipeline.name]
        self._why = f"step of run {progress.run_id}"
        self.live: dict[str, workflow.ChildWorkflowHandle[Any, RunResult]] = {}

    def cancel(self, name: str, message: str) -> None:
        if name in self.live:
            self.live[name].cancel(message)

    async def try_(
        self, step: ResolvedStep, call: ResolvedCall, number: int, stopped: Callable[[], StepResult | None]
    ) -> StepResult:
        """One run of the other pipeline. ``stopped`` tells whether the step was stopped meanwhile."""
        try:
            asked = self._rendered(step, call)
        except InvalidError as error:
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=str(error))
        self._progress.begin_try(step.name, number, waits_until=None)
        run_id = child_run_id(self._progress.run_id, step.name, number)
        since = workflow.now()
        try:
            accepted = await workflow.execute_activity_method(
                IntakeActivities.accept_call,
                self._run_call(run_id, step, asked),
                **control_activity(queues.CONTROL_PLANE, summary=f"accept {asked.name} for {step.name}"),
            )
        except ActivityError as error:
            message = error.cause.message if isinstance(error.cause, ApplicationError) else str(error.cause)
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=message)
        outputs = {"run": run_id}
        self._progress.update(
            step.name, state=StepState.RUNNING, message=f"run {run_id}", started_at=since, outputs=outputs
        )
        result = await self._child(step, accepted, stopped)
        return result.model_copy(update={"started_at": since, "finished_at": workflow.now(), "outputs": outputs})

    def _run_call(self, run_id: str, step: ResolvedStep, asked: ResolvedCall) -> RunCall:
        return RunCall(
            run_id=run_id,
            call=asked,
            parent_run=self._progress.run_id,
            parent_step=step.name,
            started_by=workflow.info().workflow_id,
            callers=self._callers,
            node_wait=self._progress.pipeline.node_wait,
        )

    def _rendered(self, step: ResolvedStep, call: ResolvedCall) -> ResolvedCall:
        values = self._progress.values(step.name)
        envs = as_texts(render_tree(call.envs, values))
        args = render_tree(call.args, values)
        check_size("the call", [args, envs], MAX_RENDERED, "pass large values by a file or an image")
        return call.model_copy(update={"args": args, "envs": envs})

    async def _child(
        self, step: ResolvedStep, accepted: AcceptedRun, stopped: Callable[[], StepResult | None]
    ) -> StepResult:
        handle = await start_run(accepted, f"step {step.name} of run {self._progress.run_id}")
        self.live[step.name] = handle
        if stopped():
            handle.cancel(self._why)  # it was stopped while it was accepted; once begun, it ends as any other
        in_time, run_id = True, accepted.run.run_id
        try:
            try:
                limit = timedelta(seconds=step.timeout)
                await workflow.wait_condition(handle.done, timeout=limit, timeout_summary=f"time limit of {step.name}")
            except builtins.TimeoutError:
                in_time = False
                handle.cancel(f"time limit of {self._why}")
            result = _read(await handle, run_id)
        except ChildWorkflowError as error:
            result = _explain(error, run_id)
        finally:
            del self.live[step.name]
        if in_time:
            return result
        message = f"run {run_id} was ended after {format_duration(timedelta(seconds=step.timeout))}"
        return StepResult(state=StepState.FAILED, reason=Reason.TIMEOUT, message=message)


async def start_run(accepted: AcceptedRun, asked_by: str) -> workflow.ChildWorkflowHandle[Any, RunResult]:
    """An accepted run as a child workflow, which is cancelled with its parent and waited for."""
    attributes = search_attributes.of_run(accepted.pipeline, accepted.nodes) if accepted.run.is_indexed else None
    return await workflow.start_child_workflow(
        workflow_names.RUN,
        accepted.run,
        id=run_workflow_id(accepted.run.run_id),
        task_queue=queues.CONTROL_PLANE,
        result_type=RunResult,
        cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
        search_attributes=attributes,
        static_summary=f"run {accepted.run.run_id} of {accepted.pipeline}, {asked_by}",
    )


def child_run_id(run_id: str, step: str, number: int) -> str:
    """The id of a child run. It looks like any run's id, but is the same for the same try."""
    digest = hashlib.sha256(f"{run_id}/{step}/{number}".encode()).hexdigest()
    return f"{int(workflow.now().timestamp()):08x}{digest[:8]}"


def _read(result: RunResult, run_id: str) -> StepResult:
    return StepResult(state=StepState.SUCCEEDED, message=f"run {run_id} {result.state}")


def _explain(error: ChildWorkflowError, run_id: str) -> StepResult:
    cause = error.cause
    if isinstance(cause, CancelledError):
        return StepResult(state=StepState.CANCELED, reason=Reason.USER, message=f"run {run_id} was canceled")
    if isinstance(cause, ApplicationError) and cause.details:
        result = RunResult.model_validate(cause.details[0])
        message = f"run {run_id} {result.state}: {result.message}"
        return StepResult(state=StepState.FAILED, reason=result.reason or Reason.INTERNAL, message=message)
    message = f"run {run_id} ended without a result: {cause or error}"
    return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=message)
