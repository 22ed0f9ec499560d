"""Presence of nodes: sessions of agents, leases, and the observed status.

Heartbeats live in memory and reach the database in batches; only a change of status is written at once and told to
the runs that wait for it. After a restart of this process every node that was online gets one lease to come back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from api.services.node.admission import Admission
from api.services.node.agent_session import AgentSession
from api.services.node.lateness import Lateness
from api.services.node.opening import Openings
from api.services.node.stall import StallWatch
from gamekeeper.backoff import MAXIMUM_SECONDS
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.node import NodeFacts, NodeStatus
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import ConflictError, PreconditionError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

RETURN_SECONDS = 10.0  # an agent whose server has just gone asks for it every few seconds
LONG_AWAY_SECONDS = 20.0  # one that has asked in vain for longer asks as seldom as its backoff lets it
LATE_RETURN_SECONDS = MAXIMUM_SECONDS
BEATS_TO_TRUST = 2  # a suspect is believed again at its second beat in a row
MS_PER_SESSION = 5  # so that a thousand agents beat every five seconds
SLOWEST_BEAT_MS = 5000
MAX_REFUSED = 100
LINE_SECONDS = 15.0  # in which an agent asks again, however often it was told to come later
TOLD_SECONDS = 60.0
STALLED_BEATS = 3  # the newest exchange that a beat tells of began up to two beats ago
REPORTS = (1, 2)  # the node link's directives: containers, inventory
RENEW_CERTIFICATE = 3


@dataclass(frozen=True)
class Lease:
    """``heartbeat_ms`` is the period of a small fleet; it grows with the fleet. ``lease_ms`` of silence end it."""

    heartbeat_ms: int
    lease_ms: int

    def heartbeat_for(self, sessions: int) -> int:
        return max(self.heartbeat_ms, min(SLOWEST_BEAT_MS, sessions * MS_PER_SESSION))


class Presence:
    """``changed`` is told of a node whose status changed, after it is in the database."""

    def __init__(
        self,
        database: Database,
        lease: Lease,
        changed: Callable[[str], Awaitable[None]],
        stalls: StallWatch | None = None,
        lateness: Lateness | None = None,
    ) -> None:
        self._database = database
        self._lease = lease
        self._changed = changed
        self._stalls = stalls or StallWatch()
        self.lateness = lateness or Lateness()
        self.admission = Admission(self.lateness)
        self._told_stretch: dict[str, tuple[float, float]] = {}
        self._told_stall_at = float("-inf")
        self._sessions: dict[str, AgentSession] = {}
        self._beats: dict[str, float] = {}
        self._status: dict[str, NodeStatus] = {}
        self._trust: dict[str, int] = {}
        self._unsaved: set[str] = set()
        self._openings = Openings(database, self._live_epoch)

    async def load(self) -> None:
        """Nodes that were there when this process ended get a while to come back, all of them at once."""
        async with self._database.read() as session:
            nodes = NodeRepository(session)
            found, newest = await nodes.statuses(), await nodes.newest_seen()
        away = (utc_now() - newest).total_seconds() if newest else 0.0
        for node_id, status in found.items():
            if status in (NodeStatus.ONLINE, NodeStatus.SUSPECT):
                self._status[node_id] = NodeStatus(status)
                self._beats[node_id] = self._stalls.now() + _time_to_return(away)
        self._stalls.observe()  # the start of this process is none

    @property
    def heartbeat_ms(self) -> int:
        return int(self._lease.heartbeat_for(len(self._sessions)) * self.lateness.stretch)

    def times(self, session: AgentSession) -> tuple[int, int]:
        """The period of heartbeats and the lease, both in milliseconds, to be told to an agent, which goes by them."""
        stretch = self.lateness.stretch
        _, before = self._told_stretch.get(session.node_id, (1.0, 1.0))
        self._told_stretch[session.node_id] = (before, stretch)
        return self.heartbeat_ms, int(self._lease.lease_ms * stretch)

    def _live_epoch(self, node_id: str) -> int | None:
        live = self._sessions.get(node_id)
        return live.epoch if live else None

    def session(self, node_id: str) -> AgentSession | None:
        return self._sessions.get(node_id)

    def ask_for_reports(self, node_id: str) -> bool:
        """Asks the node's agent for its inventory and containers; False when it is not connected."""
        session = self._sessions.get(node_id)
        return session is not None and all(session.push(directive) for directive in REPORTS)

    def ask_to_renew(self) -> None:
        """Asks every connected agent to renew its certificate soon."""
        for session in self._sessions.values():
            session.push(RENEW_CERTIFICATE)

    async def open(self, node_id: str, facts: NodeFacts, policy: NodePolicy, instance: str = "") -> AgentSession:
        """Begins a session with a new epoch; an older session of the node is superseded.

        Sessions that begin together are written together: after a restart a whole fleet comes back at once.
        Raises ConflictError while another agent with the same key is there and beats: who came first stays, so that
        two never take the node from each other in turns.
        """
        await self._check_rival(node_id, instance)
        epoch = await self._openings.write(node_id, facts, policy)
        current = AgentSession(node_id, epoch, instance, frozenset(facts.abilities))
        old = self._sessions.get(node_id)
        if old is not None and old.epoch > epoch:
            raise PreconditionError(f"another agent took over node {node_id}", hint="run one agent for a node")
        self._sessions[node_id] = current
        if old is not None:
            old.superseded.set()
            old.over.set()
        before = self._status.get(node_id)
        self._status[node_id] = NodeStatus.ONLINE
        self._beats[node_id] = self._stalls.now()
        if before is not NodeStatus.ONLINE:
            log.info("node %s is online (epoch %d)", node_id, epoch)
            await self._changed(node_id)
        return current

    async def _check_rival(self, node_id: str, instance: str) -> None:
        live = self._sessions.get(node_id)
        if live is None or not instance or live.instance in ("", instance):
            return
        self._grant_stall()
        silence, patience = self._stalls.now() - self._beats.get(node_id, 0.0), self._suspect_after(node_id)
        if silence > patience:
            return
        if instance not in live.refused and len(live.refused) < MAX_REFUSED:
            live.refused.add(instance)
            async with self._database.write() as session:
                message = f"a second agent has its key; epoch {live.epoch} was heard {silence:.1f} s ago and stays"
                record(session, Event(kind=EventKind.NODE_AGENT_REFUSED, node=node_id, message=message))
        raise ConflictError(
            f"another agent holds node {node_id}: epoch {live.epoch}, heard {silence:.1f} s ago",
            hint=f"run one agent for a node; this one is let in when that one is silent for {patience:.1f} s",
        )

    def beat(self, session: AgentSession) -> None:
        """Notes a sign of life, in memory alone: ``watch`` writes what follows from it."""
        node_id = session.node_id
        if self._sessions.get(node_id) is not session:
            return
        self._beats[node_id] = self._stalls.now()
        self._unsaved.add(node_id)
        if self._status.get(node_id) is not NodeStatus.ONLINE:
            self._trust[node_id] = self._trust.get(node_id, 0) + 1

    def close(self, session: AgentSession) -> None:
        """The stream ended. The lease goes on: an agent that reconnects within it was never away."""
        session.over.set()
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

    async def pulse(self) -> None:
        """Does nothing but notice a stall of this process soon after it has ended."""
        self._grant_stall()

    def _grant_stall(self) -> None:
        """Time in which this process could hear nobody is taken out of each node's silence.

        A stall that lasted as long as a lease made agents give their sessions up, so they get the time of a restart.
        """
        stall = self._stalls.observe()
        if stall is None:
            return
        now, was_long = self._stalls.now(), stall.slept * 1000 >= self._lease.lease_ms
        if now - self._told_stall_at >= TOLD_SECONDS:
            self._told_stall_at = now
            log.warning("this process stood still for %.1f s; no node is blamed for such times", stall.slept)
        for node_id, beat in self._beats.items():
            self._beats[node_id] = (
                now + _time_to_return(stall.slept) if was_long else max(beat, min(now, beat + stall.seconds))
            )

    def may_have_delayed(self, node_id: str) -> bool:
        """Says that an exchange of heartbeats that the node tells of now may hold time in which this process stood
        still, or was late."""
        period = self._lease.heartbeat_for(len(self._sessions)) * self._stretch_of(node_id)
        seconds = STALLED_BEATS * period / 1000
        return self.lateness.was_within(seconds) or self._stalls.was_within(seconds)

    async def pace(self) -> None:
        """Looks how late this process is, and lets in those who wait."""
        self._stalls.count_waits()
        await self.lateness.observe(self._stalls.waiting_share)
        self.admission.look()

    def _forgive_absence(self) -> None:
        """A node without a session may stand in our own line, or not get that far: it is not blamed for that."""
        if not (self.lateness.is_late or self.admission.waiting):
            return
        soon = self._stalls.now() + LINE_SECONDS
        for node_id, status in self._status.items():
            if status.reachable and node_id not in self._sessions:
                self._beats[node_id] = max(soon, self._beats.get(node_id, soon))

    async def watch(self) -> None:
        """Finds nodes that were silent for too long, and those that are heard again."""
        self._grant_stall()
        self._forgive_absence()
        now = self._stalls.now()
        changes: dict[str, tuple[NodeStatus, str]] = {}
        for node_id, status in self._status.items():
            lease, suspect = self._lease.lease_ms / 1000 * self._stretch_of(node_id), self._suspect_after(node_id)
            silence = now - self._beats.get(node_id, now)
            why = f"no heartbeat for {silence:.1f} s; its lease is {lease:.1f} s"
            if silence > lease and status is not NodeStatus.OFFLINE:
                changes[node_id] = (NodeStatus.OFFLINE, why)
            elif suspect < silence <= lease and status is NodeStatus.ONLINE:
                changes[node_id] = (NodeStatus.SUSPECT, why)
            elif silence <= suspect and status is not NodeStatus.ONLINE and self._is_trusted(node_id):
                changes[node_id] = (NodeStatus.ONLINE, "its heartbeats are back")
        if changes:
            await self._set_statuses(changes)

    def _is_trusted(self, node_id: str) -> bool:
        return self._trust.get(node_id, 0) >= BEATS_TO_TRUST

    def _stretch_of(self, node_id: str) -> float:
        """The factor that the node was told, or is about to be told. It sets the time of its next heartbeat before it
        hears the answer to this one, so the answer before counts as well."""
        return max(*self._told_stretch.get(node_id, (1.0, 1.0)), self.lateness.stretch)

    def _suspect_after(self, node_id: str) -> float:
        """One beat may come late and another be lost before anybody is suspected."""
        lease, beat = self._lease.lease_ms, self._lease.heartbeat_for(len(self._sessions))
        return min(0.8 * lease, max(0.5 * lease, 1.5 * beat)) / 1000 * self._stretch_of(node_id)

    async def save_beats(self) -> None:
        """Writes when nodes were last heard, of all that were heard since the last time."""
        node_ids = list(self._unsaved)
        if not node_ids:
            return
        async with self._database.write() as session:
            await NodeRepository(session).set_seen(node_ids, utc_now())
        self._unsaved.difference_update(node_ids)

    async def _set_statuses(self, changes: Mapping[str, tuple[NodeStatus, str]]) -> None:
        """All in one transaction: when a switch dies, many nodes go at once."""
        async with self._database.write() as session:
            wanted = {node_id: status for node_id, (status, _) in changes.items()}
            found = await NodeRepository(session).set_statuses(wanted)
            for node_id in sorted(found):
                status, why = changes[node_id]
                record(session, Event(kind=EventKind.of("node", status.value), node=node_id, message=why))
        for node_id, (status, why) in changes.items():
            self._trust[node_id] = 0
            before = self._status.pop(node_id, NodeStatus.NEVER_SEEN)
            if node_id not in found:
                continue  # the node was removed
            self._status[node_id] = status
            log.info("node %s is %s: %s", node_id, status, why)
            if before.reachable != status.reachable:
                await self._changed(node_id)


def _time_to_return(away: float) -> float:
    """Seconds in which the agents of a server that could not be reached for ``away`` seconds find it again."""
    return LATE_RETURN_SECONDS if away > LONG_AWAY_SECONDS else RETURN_SECONDS
