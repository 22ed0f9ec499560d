"""Tells the runs that touch a node, and its instances, when its mode or status changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from api.services.run.dispatch import RunDispatcher
from gamekeeper.backoff import Backoff
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.node import NodeRepository, node_view
from gamekeeper.domain.node.node import NodeView
from gamekeeper.logging import get_logger
from gamekeeper.supervised import Supervised

log = get_logger(__name__)

TRIES = 5
FIRST_WAIT_SECONDS = 0.5


class NodeSignals:
    """Signals are repeated a few times; a waiting step also looks for itself every half minute."""

    def __init__(
        self, database: Database, dispatcher: RunDispatcher, tell_instances: Callable[[str], Awaitable[None]]
    ) -> None:
        """``tell_instances`` tells those of a node whose mode concerns them."""
        self._tell_instances = tell_instances
        self._database = database
        self._dispatcher = dispatcher
        self.care = Supervised("node_signals")
        self._tasks: set[asyncio.Task[None]] = set()

    async def node_changed(self, node_id: str) -> None:
        """Returns at once; the signals go out behind."""
        task = asyncio.create_task(self._tell_all(node_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_all(self, node_id: str) -> None:
        backoff = Backoff(initial=FIRST_WAIT_SECONDS, maximum=10)
        for _ in range(TRIES):
            try:
                is_told = await self._tell(node_id)
            except Exception as error:
                self.care.failed(error)
                is_told = False
            if is_told:
                self.care.succeeded()
                return
            await asyncio.sleep(backoff.next_delay())
        log.warning("some runs were not told that node %s changed; they will look for themselves", node_id)

    async def _tell(self, node_id: str) -> bool:
        """True when every run has been told. A run that can't be told holds up no other."""
        async with self._database.read() as session:
            nodes = NodeRepository(session)
            row = await nodes.find(node_id)
            run_ids = await nodes.runs_touching(node_id)
        # The signals of a removal may go out when the row is gone already.
        view = node_view(row) if row else NodeView.removed(node_id)
        told = await asyncio.gather(
            *[self._dispatcher.tell_node(run_id, view) for run_id in run_ids], return_exceptions=True
        )
        await self._tell_instances(node_id)
        for error in told:
            if isinstance(error, Exception):
                self.care.failed(error)
        return all(answer is True for answer in told)
