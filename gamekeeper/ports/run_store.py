"""The read model as the control-plane activities write it."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.run import RunSnapshot


class RunStore(Protocol):
    async def write_snapshot(self, snapshot: RunSnapshot) -> None:
        """Idempotent: a snapshot that is not newer than what is stored changes nothing."""

    async def find_node(self, node_id: str) -> NodeView | None: ...
