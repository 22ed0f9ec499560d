"""The nodes of a run as its workflow knows them: whether a step may start there."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.runs import RunActivities
    from gamekeeper.domain.language.resolved import ResolvedStep
    from gamekeeper.domain.node.node import NodeMode, NodeView
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.step import Reason, StepResult, StepState
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.policies import control_activity

NODE_REFRESH = timedelta(seconds=30)


class NodeGate:
    """The nodes of a run as it knows them. Signals bring changes; a step that waits also asks every half minute."""

    def __init__(self, nodes: Mapping[str, NodeView], wait_seconds: float) -> None:
        self._nodes = dict(nodes)
        self.wait = timedelta(seconds=wait_seconds)

    def update(self, node: NodeView) -> None:
        self._nodes[node.id] = node

    def view(self, node_id: str) -> NodeView:
        return self._nodes.get(node_id) or NodeView(id=node_id)

    async def refresh(self, node_id: str) -> None:
        found = await workflow.execute_activity_method(
            RunActivities.find_node,
            node_id,
            **control_activity(queues.CONTROL_PLANE, summary=f"look at node {node_id}"),
        )
        if found is not None:
            self.update(found)

    async def closed(
        self, step: ResolvedStep, progress: RunProgress, stopped: Callable[[str], StepResult | None]
    ) -> StepResult | None:
        """Waits while the node is in maintenance; the outcome when the step can't start there at all."""
        deadline = workflow.now() + self.wait
        while True:
            view = self.view(step.node)
            if end := stopped(step.name):
                return end
            if view.mode is NodeMode.DISABLED:
                return node_disabled(step.node)
            if view.mode is NodeMode.ACTIVE:
                return None
            message = f"node {step.node} is in maintenance"
            if workflow.now() >= deadline:
                return StepResult(
                    state=StepState.ERROR, reason=Reason.AGENT_LOST, message=f"{message}; gave up waiting"
                )
            status = progress.statuses[step.name]
            if status.state is not StepState.WAITING_NODE:
                progress.update(step.name, state=StepState.WAITING_NODE, message=message, deadline_at=deadline)
            await self._moved(step, view, deadline, stopped)

    async def _moved(
        self,
        step: ResolvedStep,
        seen: NodeView,
        deadline: datetime,
        stopped: Callable[[str], StepResult | None],
    ) -> None:
        limit = max(timedelta(milliseconds=1), min(NODE_REFRESH, deadline - workflow.now()))
        try:
            await workflow.wait_condition(
                lambda: stopped(step.name) is not None or self.view(step.node) != seen,
                timeout=limit,
                timeout_summary=f"{step.name} waits for node {step.node}",
            )
        except builtins.TimeoutError:
            await self.refresh(step.node)


def node_disabled(node_id: str) -> StepResult:
    return StepResult(state=StepState.CANCELED, reason=Reason.NODE_DISABLED, message=f"node {node_id} is disabled")
