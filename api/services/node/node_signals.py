"""Tells the runs that touch a node when its mode or status changed."""

from __future__ import annotations

import asyncio

from api.services.run.dispatch import RunDispatcher
from gamekeeper.backoff import Backoff
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.node import NodeRepository, node_view
from gamekeeper.logging import get_logger

log = get_logger(__name__)

TRIES = 5


class NodeSignals:
    """Signals are repeated a few times; a waiting step also looks for itself every half minute."""

    def __init__(self, database: Database, dispatcher: RunDispatcher) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._tasks: set[asyncio.Task[None]] = set()

    async def node_changed(self, node_id: str) -> None:
        """Returns at once; the signals go out behind."""
        task = asyncio.create_task(self._tell(node_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, node_id: str) -> None:
        backoff = Backoff(initial=0.5, maximum=10)
        for _ in range(TRIES):
            async with self._database.read() as session:
                nodes = NodeRepository(session)
                row = await nodes.find(node_id)
                run_ids = await nodes.runs_touching(node_id)
            if row is None:
                return
            view = node_view(row)
            told = await asyncio.gather(*[self._dispatcher.tell_node(run_id, view) for run_id in run_ids])
            if all(told):
                return
            await asyncio.sleep(backoff.next_delay())
        log.warning("some runs were not told that node %s changed; they will look for themselves", node_id)
