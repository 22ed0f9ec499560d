"""The nodes of a run as its workflow knows them: whether a step may start there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.runs import RunActivities
    from gamekeeper.domain.node.node import NodeView
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.policies import control_activity


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
