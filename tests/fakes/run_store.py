"""RunStore in memory: what the workflow told, in order."""

from __future__ import annotations

from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.run import RunSnapshot
from gamekeeper.domain.run.step import StepStatus


class FakeRunStore:
    def __init__(self) -> None:
        self.snapshots: list[RunSnapshot] = []
        self.nodes: dict[str, NodeView] = {}

    async def write_snapshot(self, snapshot: RunSnapshot) -> None:
        self.snapshots.append(snapshot)

    async def find_node(self, node_id: str) -> NodeView | None:
        return self.nodes.get(node_id)

    def history(self, step: str) -> list[StepStatus]:
        """The states that a step was told to have, in order."""
        return [status for snapshot in self.snapshots for status in snapshot.steps if status.name == step]

    def last(self, step: str) -> StepStatus:
        return self.history(step)[-1]
