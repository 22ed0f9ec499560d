"""Wakes runs whose steps wait for room on a node, when some is given back there.

Only the oldest are woken: each looks for itself whether it may go on, and all others look now and then. A signal stays
in the history of its run, which may wait for days beside steps that end every second, so the pauses between them grow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.node import NodeRepository, node_view
from gamekeeper.db.repositories.step_room import StepRoomRepository
from gamekeeper.domain.node.node import NodeView
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger
from gamekeeper.temporal.ids import run_workflow_id

AT_ONCE = 4
AT_WILL = 30  # signals to one run without a pause
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.25, 1.1, 300.0  # seconds
MAX_KNOWN = 10_000
NODE_CHANGED = "node_changed"
LIMIT = timedelta(seconds=5)

log = get_logger(__name__)


class RoomWakes:
    """RoomWaker by signals of a node's state, which a waiting run takes for a reason to look again."""

    def __init__(self, database: Database, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._client = client
        self._clock = clock
        self._woken: dict[str, tuple[int, float]] = {}  # how often, and when next

    async def wake(self, nodes: Collection[str]) -> None:
        try:
            waiting = await self._waiting(nodes)
        except GamekeeperError as error:
            log.info("runs that wait for room were not woken: %s", error)
            return
        for run_id, view in waiting:
            if not self._may_wake(run_id):
                continue
            handle = self._client.get_workflow_handle(run_workflow_id(run_id))
            try:
                await handle.signal(NODE_CHANGED, view, rpc_timeout=LIMIT)
            except RPCError as error:
                log.info("run %s, which waits for room, was not woken: %s", run_id, error)

    def _may_wake(self, run_id: str) -> bool:
        count, following = self._woken.pop(run_id, (0, 0.0))
        if may := self._clock() >= following:
            count += 1
            pause = FIRST_PAUSE * GROWTH ** min(count - AT_WILL, 100) if count >= AT_WILL else 0.0
            following = self._clock() + min(LONGEST_PAUSE, pause)
        self._woken[run_id] = (count, following)
        while len(self._woken) > MAX_KNOWN:
            del self._woken[next(iter(self._woken))]
        return may

    async def _waiting(self, nodes: Collection[str]) -> list[tuple[str, NodeView]]:
        found = []
        async with self._database.read() as session:
            for node in sorted(nodes):
                if runs := await StepRoomRepository(session).waiting_runs(node, AT_ONCE):
                    row = await NodeRepository(session).find(node)
                    found += [(run, node_view(row)) for run in runs if row is not None]
        return found
