"""RunStore in memory: what the workflow told, in order."""

from __future__ import annotations

from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.run import RunSnapshot
from gamekeeper.domain.run.step import StepStatus
from gamekeeper.errors import InvalidError


class FakeRunStore:
    def __init__(self) -> None:
        self.snapshots: list[RunSnapshot] = []
        self.nodes: dict[str, NodeView] = {}
        self.refused_text = ""

    async def write_snapshot(self, snapshot: RunSnapshot) -> None:
        if self.refused_text and self.refused_text in snapshot.model_dump_json():
            raise InvalidError("the database takes no such value")
        self.snapshots.append(snapshot)

    async def find_node(self, node_id: str) -> NodeView:
        return self.nodes.get(node_id) or NodeView.removed(node_id)

    def history(self, step: str) -> list[StepStatus]:
        """The states that a step was told to have, in order."""
        return [status for snapshot in self.snapshots for status in snapshot.steps if status.name == step]

    def last(self, step: str) -> StepStatus:
        return self.history(step)[-1]
