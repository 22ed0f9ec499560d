"""Who is there: sessions of agents, leases, and the observed status of nodes.

Heartbeats live in memory and reach the database in batches; only a change of status is written at once and told to
the runs that wait for it. After a restart of this process every node that was online gets one lease to come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.node import NodeFacts, NodeStatus
from gamekeeper.domain.policy import NodePolicy
from gamekeeper.errors import GamekeeperError, NotFoundError, PreconditionError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

TICK_SECONDS = 0.5
FLUSH_SECONDS = 5.0


@dataclass
class AgentSession:
    """One connected agent. ``superseded`` is set when a newer session of the same node takes over."""

    node_id: str
    epoch: int
    superseded: asyncio.Event = field(default_factory=asyncio.Event)


class Presence:
    """``changed`` is told of a node whose status changed, after it is in the database."""

    def __init__(self, database: Database, lease_ms: int, changed: Callable[[str], Awaitable[None]]) -> None:
        self._database = database
        self._lease = lease_ms / 1000
        self._changed = changed
        self._sessions: dict[str, AgentSession] = {}
        self._beats: dict[str, float] = {}
        self._status: dict[str, NodeStatus] = {}
        self._unsaved: set[str] = set()

    async def load(self) -> None:
        """Nodes that were there when this process ended get one lease to come back."""
        async with self._database.read() as session:
            rows = await NodeRepository(session).with_status(NodeStatus.ONLINE, NodeStatus.SUSPECT)
        for row in rows:
            self._status[row.id] = NodeStatus(row.status)
            self._beats[row.id] = time.monotonic()

    async def open(self, node_id: str, facts: NodeFacts, policy: NodePolicy) -> AgentSession:
        """Begins a session with a new epoch; an older session of the node is superseded."""
        async with self._database.write() as session:
            row = await NodeRepository(session).get(node_id)
            row.epoch += 1
            _write_facts(row, facts, policy)
            row.status = NodeStatus.ONLINE.value
            row.last_seen_at = utc_now()
            epoch = row.epoch
        current = AgentSession(node_id, epoch)
        old = self._sessions.get(node_id)
        self._sessions[node_id] = current
        if old is not None:
            old.superseded.set()
        before = self._status.get(node_id)
        self._status[node_id] = NodeStatus.ONLINE
        self._beats[node_id] = time.monotonic()
        if before is not NodeStatus.ONLINE:
            log.info("node %s is online (epoch %d)", node_id, epoch)
            await self._changed(node_id)
        return current

    async def beat(self, session: AgentSession) -> None:
        if self._sessions.get(session.node_id) is not session:
            return
        self._beats[session.node_id] = time.monotonic()
        self._unsaved.add(session.node_id)
        if self._status.get(session.node_id) is not NodeStatus.ONLINE:
            await self._set_status(session.node_id, NodeStatus.ONLINE)

    def close(self, session: AgentSession) -> None:
        """The stream ended. The lease goes on: an agent that reconnects within it was never away."""
        if self._sessions.get(session.node_id) is session:
            del self._sessions[session.node_id]

    async def check_epoch(self, node_id: str, epoch: int) -> None:
        """Raises PreconditionError for a write of an older epoch."""
        current = self._sessions.get(node_id)
        newest = current.epoch if current else await self._stored_epoch(node_id)
        if epoch != newest:
            raise PreconditionError(
                f"node {node_id}: epoch {epoch} is over, the newest is {newest}", hint="open a new session"
            )

    async def _stored_epoch(self, node_id: str) -> int:
        async with self._database.read() as session:
            return (await NodeRepository(session).get(node_id)).epoch

    async def watch_forever(self) -> None:
        flushed = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self._tick()
                if time.monotonic() - flushed > FLUSH_SECONDS:
                    await self._flush()
                    flushed = time.monotonic()
            except GamekeeperError as error:
                log.warning("the status of nodes waits: %s", error)

    async def _tick(self) -> None:
        now = time.monotonic()
        for node_id, status in list(self._status.items()):
            silence = now - self._beats.get(node_id, now)
            if silence > self._lease and status is not NodeStatus.OFFLINE:
                await self._set_status(node_id, NodeStatus.OFFLINE)
            elif self._lease / 2 < silence <= self._lease and status is NodeStatus.ONLINE:
                await self._set_status(node_id, NodeStatus.SUSPECT)

    async def _flush(self) -> None:
        node_ids = list(self._unsaved)
        async with self._database.write() as session:
            await NodeRepository(session).set_seen(node_ids, utc_now())
        self._unsaved.difference_update(node_ids)

    async def _set_status(self, node_id: str, status: NodeStatus) -> None:
        try:
            async with self._database.write() as session:
                (await NodeRepository(session).get(node_id)).status = status.value
        except NotFoundError:
            self._status.pop(node_id, None)  # the node was removed
            return
        was_reachable = self._status[node_id].reachable
        self._status[node_id] = status
        log.info("node %s is %s", node_id, status)
        if was_reachable != status.reachable:
            await self._changed(node_id)


def _write_facts(row: NodeRow, facts: NodeFacts, policy: NodePolicy) -> None:
    row.hardware = facts.model_dump(include={"cpu_model", "cpu_count", "memory_bytes", "disk_bytes", "architecture"})
    row.system = facts.model_dump(
        include={"hostname", "os", "kernel", "addresses", "docker_version", "docker_storage_driver"}
    )
    row.capacity = {"cpus": facts.cpu_count, "memory_bytes": facts.memory_bytes, "disk_bytes": facts.disk_bytes}
    row.agent_version = facts.agent_version
    row.policy = policy.model_dump()
