"""The read model as the control-plane activities write it."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.run import RunSnapshot


class RunStore(Protocol):
    """Every call is short and raises UnavailableError when the database is away. A cancelled write has committed whole
    or not at all."""

    async def write_snapshot(self, snapshot: RunSnapshot) -> None:
        """Stores the newest state of a run. Idempotent: a snapshot no newer than the stored one changes nothing.

        Raises InvalidError for one with a value that no row can hold.
        """

    async def find_node(self, node_id: str) -> NodeView:
        """The node as it is known now. One that is not there was removed since the run began. Idempotent."""
