"""Writes the state of runs into the read model, for the workflow that is its one writer."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.run import RunSnapshot
from gamekeeper.errors import InvalidError
from gamekeeper.ports.room_store import RoomWaker
from gamekeeper.ports.run_store import RunStore


class RunActivities:
    def __init__(self, runs: RunStore, waker: RoomWaker) -> None:
        self._runs = runs
        self._waker = waker

    @activity.defn(name="run.write_snapshot")
    async def write_snapshot(self, snapshot: RunSnapshot) -> None:
        """Tries again until the database answers, but for a snapshot that it will never take."""
        try:
            await self._runs.write_snapshot(snapshot)
        except InvalidError as error:
            raise ApplicationError(str(error), type="SnapshotRefused", non_retryable=True) from error
        if snapshot.released:
            await self._waker.wake({each.node for each in snapshot.released})

    @activity.defn(name="node.find")
    async def find_node(self, node_id: str) -> NodeView | None:
        """Histories of 0.3 and before hold None for a node that was removed."""
        return await self._runs.find_node(node_id)
