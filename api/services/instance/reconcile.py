"""Brings instances and workflows together again after anything died between the database and Temporal.

Rows tell what is to be done: an unstarted workflow, a node's mode that was not heard of, an order that the node does
not have, a time that is over. Where all is well it costs some queries, and Temporal nothing but a look now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from datetime import timedelta

from gamekeeper.control_plane.instance.accept import InstanceAcceptance
from gamekeeper.control_plane.instance.adoption import InstanceAdoption
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.node import NodeRepository, node_view
from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.run import BEHAVIOUR
from gamekeeper.errors import NotFoundError
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.instance_workflows import InstanceWorkflows

SETTLE = timedelta(seconds=5)
DIFFERS_FOR = timedelta(seconds=60)
ROW_SECONDS = 30.0
WITH_INSTANCES = 6  # the behaviour of runs whose services are instances from the beginning
LOOKS = 5  # workflows that are looked at in each round


class InstanceReconciler:
    """``keeping`` are the nodes whose agents keep instances; it grows as they tell."""

    def __init__(self, database: Database, workflows: InstanceWorkflows, keeping: Collection[str]) -> None:
        self._database = database
        self._workflows = workflows
        self._keeping = keeping
        self._acceptance = InstanceAcceptance(database)
        self._adoption = InstanceAdoption(database)
        self._looked_at = ""
        self.care = Supervised("instance_reconciler")

    async def reconcile(self) -> None:
        now = utc_now()
        async with self._database.read() as session:
            instances = InstanceRepository(session)
            unstarted = await instances.unstarted(now - SETTLE)
            expired = [row for row in await instances.expired(now - SETTLE) if row.operation is None]
            differing = [row for row in await instances.differing(now - DIFFERS_FOR) if row.operation is None]
            looked = await instances.ids_after(self._looked_at, LOOKS)
        await self._each(unstarted, self._start)
        await self._each([row.id for row in expired], self._expire)
        await self._each([row.id for row in differing], self._workflows.reconcile)
        await self._each(looked, self._look)
        self._looked_at = looked[-1] if len(looked) == LOOKS else ""
        await self.tell_nodes()
        await self._adopt()

    async def _adopt(self) -> None:
        """Services of the time before instances become instances, as their nodes tell of them. Not before runs make
        instances themselves: else each new service would be made twice. And not before the node's agent has told of
        instances: an agent of before would refuse the order, and what runs well would be called failed."""
        if BEHAVIOUR < WITH_INSTANCES:
            return
        for container in await self._adoption.waiting():
            if container.node_id not in self._keeping:
                continue
            with self.care.row(f"container {container.name} of node {container.node_id}"):
                await self._start((await self._adoption.adopt(container)).instance)

    async def tell_nodes(self, node_id: str | None = None) -> None:
        """Tells the instances that stand although their node is active, those that run on a disabled one, and those
        whose action waits for a node that was removed."""
        async with self._database.read() as session:
            rows = await InstanceRepository(session).out_of_step(node_id)
            stranded = await InstanceRepository(session).stranded(node_id)
            nodes = await NodeRepository(session).find_many(sorted({row.node_id for row in rows}))
        views = {node.id: node_view(node) for node in nodes}
        told = {row.id: views[row.node_id] for row in rows if row.node_id in views and row.operation is None}
        told |= {row.id: NodeView.removed(row.node_id) for row in stranded if row.operation is not None}
        await self._each(told, lambda instance: self._tell(instance, told[instance]))

    async def _each(self, ids: Iterable[str], work: Callable[[str], Awaitable[None]]) -> None:
        """One that can't be dealt with holds up no other."""
        for instance in ids:
            with self.care.row(f"instance {instance}"):
                async with asyncio.timeout(ROW_SECONDS):
                    with suppress(NotFoundError):  # its workflow is begun again when its turn to be looked at comes
                        await work(instance)

    async def _tell(self, instance: str, view: NodeView) -> None:
        await self._workflows.tell_node(instance, view)

    async def _expire(self, instance: str) -> None:
        async with self._database.read() as session:
            row: InstanceRow = await InstanceRepository(session).get(instance)
        await self._workflows.expire_at(instance, row.expires_at)

    async def _look(self, instance: str) -> None:
        """Begins a workflow again that is gone: somebody ended it in Temporal, or Temporal was set up anew."""
        if not await self._workflows.goes_on(instance):
            await self._start(instance)

    async def _start(self, instance: str) -> None:
        life = await self._acceptance.find(instance)
        if life is not None:
            await self._workflows.start(life)
