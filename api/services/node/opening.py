"""The rows of sessions that begin: those that begin together are written together.

After a restart of this process a whole fleet comes back at once, and a transaction for each node would take minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import NodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node import capacity
from gamekeeper.domain.node.node import NodeFacts, NodeStatus
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import GamekeeperError, NotFoundError

TOGETHER = 200


class Openings:
    """``live_epoch`` tells the epoch of a node's session that is still open."""

    def __init__(self, database: Database, live_epoch: Callable[[str], int | None]) -> None:
        self._database = database
        self._live_epoch = live_epoch
        self._waiting: list[_Opening] = []
        self._opener: asyncio.Task[None] | None = None

    async def write(self, node_id: str, facts: NodeFacts, policy: NodePolicy) -> int:
        """The new session's epoch, when it is written. Raises NotFoundError for a node that was removed."""
        opening = _Opening(node_id, facts, policy)
        self._waiting.append(opening)
        if self._opener is None or self._opener.done():
            self._opener = asyncio.create_task(self._open_all())
        return await opening.epoch

    async def _open_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            try:
                await self._open_batch(batch)
            except GamekeeperError as error:
                for opening in batch:
                    opening.fail(error)
            except Exception:  # a row that nobody foresaw: whose it is shows when each is opened alone
                for opening in batch:
                    await self._open_alone(opening)

    async def _open_batch(self, batch: list[_Opening]) -> None:
        async with self._database.write() as session:
            rows = await NodeRepository(session).find_many([opening.node_id for opening in batch])
            by_id = {row.id: row for row in rows}
            epochs = [self._write_opening(session, opening, by_id.get(opening.node_id)) for opening in batch]
        for opening, epoch in zip(batch, epochs, strict=True):
            opening.succeed(epoch)

    async def _open_alone(self, opening: _Opening) -> None:
        try:
            await self._open_batch([opening])
        except Exception as error:
            opening.fail(error)

    def _write_opening(self, session: AsyncSession, opening: _Opening, row: NodeRow | None) -> int | None:
        """The new epoch; None for a node that was removed."""
        if row is None:
            return None
        node_id = row.id
        old_epoch = self._live_epoch(node_id)
        row.epoch += 1
        _write_facts(row, opening.facts, opening.policy)
        was_online = row.status == NodeStatus.ONLINE.value
        row.status = NodeStatus.ONLINE.value
        row.last_seen_at = utc_now()
        common = {"node": node_id, "actor": f"agent:{node_id}"}
        data = {"epoch": row.epoch, "agent_version": opening.facts.agent_version}
        record(session, Event(kind=EventKind.NODE_SESSION_OPENED, data=data, **common))
        if old_epoch is not None:
            message = f"epoch {old_epoch} was still open; its agent is refused from now on"
            record(session, Event(kind=EventKind.NODE_SUPERSEDED, message=message, data=data, **common))
        if not was_online:
            record(session, Event(kind=EventKind.NODE_ONLINE, **common))
        return row.epoch


class _Opening:
    """A session that is about to begin."""

    def __init__(self, node_id: str, facts: NodeFacts, policy: NodePolicy) -> None:
        self.node_id = node_id
        self.facts = facts
        self.policy = policy
        self.epoch: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def succeed(self, epoch: int | None) -> None:
        if epoch is None:
            self.fail(NotFoundError(f'there is no node "{self.node_id}"'))
        elif not self.epoch.done():
            self.epoch.set_result(epoch)

    def fail(self, error: Exception) -> None:
        if not self.epoch.done():
            self.epoch.set_exception(error)


def _write_facts(row: NodeRow, facts: NodeFacts, policy: NodePolicy) -> None:
    row.hardware = facts.model_dump(include={"cpu_model", "cpu_count", "memory_bytes", "disk_bytes", "architecture"})
    row.system = facts.model_dump(
        include={"hostname", "os", "kernel", "addresses", "docker_version", "docker_storage_driver", "abilities"}
    )
    if not row.inventory:  # which says more
        row.capacity = capacity.of_facts(facts)
    row.agent_version = facts.agent_version
    row.policy = policy.model_dump()
