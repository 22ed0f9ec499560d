"""Talks to Temporal about runs: starts, cancels and signals their workflows, each idempotent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.control import ApprovalAnswer, CancelWords, HoldAnswer, PauseRequest, StepCancel
from gamekeeper.domain.run.run import RunInput, RunResult, Supersession
from gamekeeper.errors import ConflictError, GamekeeperError, InvalidError, NotFoundError, UnavailableError
from gamekeeper.temporal import queues, search_attributes
from gamekeeper.temporal.asking import UPDATE_LIMIT, asking
from gamekeeper.temporal.goaway import past_goaway
from gamekeeper.temporal.ids import run_workflow_id
from gamekeeper.temporal.pollers import Pollers
from workflows.run.pipeline import PipelineWorkflow

PING_LIMIT = timedelta(seconds=10)


@dataclass(frozen=True)
class FoundWorkflow:
    """A workflow as Temporal knows it. ``failed_tasks`` counts the workflow tasks that failed one after another up to
    now; 0 for one that goes on."""

    status: WorkflowExecutionStatus
    failed_tasks: int = 0


@asynccontextmanager
async def _updating(run_id: str) -> AsyncIterator[None]:
    try:
        async with asking(f"run {run_id}"):
            yield
    except NotFoundError as error:
        raise ConflictError(f"run {run_id} does not go on: it ended, or has not begun yet") from error


def _refusal_or_away(error: RPCError) -> GamekeeperError:
    """Temporal's answer to a start as ours. It refuses for good what is too large or breaks a rule of the namespace.

    A missing search attribute is the operator's to add, and a message over the size of gRPC has the status of a load
    that passes.
    """
    is_invalid = error.status is RPCStatusCode.INVALID_ARGUMENT and "search attribute" not in error.message
    is_too_large = error.status is RPCStatusCode.RESOURCE_EXHAUSTED and "larger than max" in error.message
    if is_invalid or is_too_large:
        return InvalidError(f"Temporal refuses the run: {error.message}")
    return UnavailableError(f"Temporal does not take the run: {error.message}")


class RunDispatcher:
    """Calls raise UnavailableError when Temporal does not take them now; all of them may be repeated."""

    def __init__(self, client: Client, is_indexed: Callable[[], Awaitable[bool]]) -> None:
        """``is_indexed`` tells whether runs may be started with search attributes."""
        self._client = client
        self._is_indexed = is_indexed
        self._control_workers = Pollers(queues.CONTROL_PLANE)

    async def start(self, run: RunInput) -> None:
        """Starts the workflow, unless it runs or ran already. Raises InvalidError when Temporal refuses it for good."""
        pipeline = run.pipeline
        run = run.model_copy(update={"is_indexed": await self._is_indexed()})
        attributes = search_attributes.of_run(pipeline.name, pipeline.nodes()) if run.is_indexed else None
        try:
            await self._client.start_workflow(
                PipelineWorkflow.run,
                run,
                id=run_workflow_id(run.run_id),
                task_queue=queues.CONTROL_PLANE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                search_attributes=attributes,
                static_summary=f"run {run.run_id} of {pipeline.name} on {', '.join(pipeline.nodes()[:5])}",
                static_details="\n".join(
                    f"- {step.name} ({step.type})" + (f" on {step.node}" if step.node else "")
                    for step in pipeline.steps[:100]
                ),
            )
        except WorkflowAlreadyStartedError:
            return
        except RPCError as error:
            raise _refusal_or_away(error) from error

    async def cancel(self, run_id: str, reason: str, superseded_by: str | None = None) -> None:
        """Cancels a run, for a person or for the newer run that supersedes it. Nothing is left to do when no workflow
        of the run goes on."""
        with suppress(NotFoundError):
            async with asking(f"run {run_id}"):
                handle = self._run(run_id)
                if superseded_by is not None:
                    await handle.signal(PipelineWorkflow.superseded, Supersession(by_run=superseded_by))
                await handle.signal(PipelineWorkflow.cancel_words, CancelWords(reason=reason))
                await handle.cancel()  # a reason given here would stand in Temporal's database in clear

    async def repeat_cancel(self, run_id: str, reason: str, superseded_by: str | None) -> None:
        """Cancels a workflow that has not heard of it yet, and no other: each signal stays in a history."""
        with suppress(NotFoundError):
            async with asking(f"run {run_id}"):
                described = await self._run(run_id).describe()
            if not described.raw_description.workflow_extended_info.cancel_requested:
                await self.cancel(run_id, reason, superseded_by)

    async def tell_node(self, run_id: str, node: NodeView) -> bool:
        """Signals a node's new state to one run. True when nothing is left to do, the run having ended included."""
        try:
            async with asking(f"run {run_id}"):
                await self._run(run_id).signal(PipelineWorkflow.node_changed, node)
        except NotFoundError:
            return True
        except UnavailableError:
            return False
        return True

    async def answer_approval(self, run_id: str, answer: ApprovalAnswer) -> None:
        """Answers an approval. Like all updates it raises ConflictError in the workflow's own words."""
        async with _updating(run_id):
            await self._run(run_id).execute_update(PipelineWorkflow.answer_approval, answer, rpc_timeout=UPDATE_LIMIT)

    async def answer_hold(self, run_id: str, answer: HoldAnswer) -> None:
        async with _updating(run_id):
            await self._run(run_id).execute_update(PipelineWorkflow.answer_hold, answer, rpc_timeout=UPDATE_LIMIT)

    async def set_paused(self, run_id: str, request: PauseRequest) -> None:
        async with _updating(run_id):
            await self._run(run_id).execute_update(PipelineWorkflow.set_paused, request, rpc_timeout=UPDATE_LIMIT)

    async def cancel_step(self, run_id: str, request: StepCancel) -> None:
        async with _updating(run_id):
            await self._run(run_id).execute_update(PipelineWorkflow.cancel_step, request, rpc_timeout=UPDATE_LIMIT)

    def _run(self, run_id: str) -> WorkflowHandle[PipelineWorkflow, RunResult]:
        return self._client.get_workflow_handle_for(PipelineWorkflow.run, run_workflow_id(run_id))

    async def find(self, workflow_id: str) -> FoundWorkflow | None:
        """None for a workflow that does not exist. Raises UnavailableError."""
        try:
            async with asking(workflow_id):
                found = await self._client.get_workflow_handle(workflow_id).describe()
        except NotFoundError:
            return None
        failed = max(0, found.raw_description.pending_workflow_task.attempt - 1)
        return FoundWorkflow(found.status or WorkflowExecutionStatus.RUNNING, failed)

    async def ping(self) -> None:
        """Raises UnavailableError when Temporal does not answer. The question is one that every server lets everybody
        ask who may start runs; one after its health is not."""
        try:
            question = GetSystemInfoRequest()
            await past_goaway(lambda: self._client.workflow_service.get_system_info(question, timeout=PING_LIMIT))
        except (RPCError, RuntimeError) as error:  # the second from a client that never was connected
            raise UnavailableError(f"Temporal does not answer: {error}") from error

    async def ping_control_workers(self) -> None:
        """Raises UnavailableError when no control worker asks Temporal for work: runs are then taken and stand."""
        try:
            trouble = await self._control_workers.ask(self._client)
        except (RPCError, RuntimeError) as error:
            raise UnavailableError(f"Temporal does not answer: {error}") from error
        if trouble:
            raise UnavailableError(f"of the control workers {trouble}", hint="is one up? its log says why not")
