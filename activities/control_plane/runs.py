"""Writes the state of runs into the read model, for the workflow that is its one writer."""

from temporalio import activity

from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.run import RunSnapshot
from gamekeeper.ports.run_store import RunStore


class RunActivities:
    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    @activity.defn(name="run.write_snapshot")
    async def write_snapshot(self, snapshot: RunSnapshot) -> None:
        await self._runs.write_snapshot(snapshot)

    @activity.defn(name="node.find")
    async def find_node(self, node_id: str) -> NodeView | None:
        return await self._runs.find_node(node_id)
