"""The agent's side of the node link: one session with heartbeats and phases, reconnected for ever.

It carries presence and streams only. When it is down the agent's work goes on, and its messages wait.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc

from agent_worker.identity import Identity
from agent_worker.node_link.calls import LinkCalls, is_cancelled, readable
from agent_worker.node_link.dial import Dial
from agent_worker.node_link.place import Place
from agent_worker.node_link.servers import ServerAddress
from gamekeeper import __version__
from gamekeeper.backoff import MAXIMUM_SECONDS, Backoff, jittered
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.event.hlc import HybridClock
from gamekeeper.domain.node.ability import Ability
from gamekeeper.domain.node.clock_offset import ClockOffset
from gamekeeper.domain.node.condition import Vitals
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.run.step import StepState
from gamekeeper.errors import GamekeeperError, UnauthenticatedError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.node_policy import OwnPolicy
from gamekeeper.rpc.convert import facts_to_pb, key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.version import PROTOCOL_VERSION
from gamekeeper.whole_number import whole_number

log = get_logger(__name__)

SELDOM = 8  # failures after which a backoff is near its maximum
RETRY_AFTER = "retry-after-ms"
IN_LINE = "in-line"
OUTBOX = 10_000
WELCOME_SECONDS = 30.0  # a server that is busy has us stand in line for a third of that
FRESH_SECONDS = 30.0  # for so long a server that was there is taken to be starting again
PHASE_SECONDS = 0.1  # phases that pass sooner are not told: nobody sees them, and each is a write of the server's
LONG_SECONDS = 120.0  # then a server that can't be reached may have moved its port
# gRPC has no status for a certificate that one side does not take: the server is there, and the connection is not.
DISAGREEMENT = re.compile("handshake failed|Socket closed", re.IGNORECASE)
DISAGREEMENTS = 3  # in a row; one alone is also seen of a server that is killed in that moment
SHORTEST_MS = 50  # of a period or a lease, whatever a server says: nothing spins or stands still
LONGEST_PERIOD_MS, LONGEST_LEASE_MS = 60_000, 600_000
PATIENCE = 8  # leases of silence, for an only server: it is late, and a new session would make it later
SOON_SECONDS = 3.0  # and asked again within that


@dataclass(frozen=True)
class Introduction:
    """The agent's words about itself: at the beginning of each session, and with each heartbeat."""

    facts: Callable[[], Awaitable[NodeFacts]]
    policy: OwnPolicy
    vitals: Callable[[], Vitals] = Vitals


class Link:
    """``welcomed`` is called with each Welcome. Phases satisfy the activities' ``Phases`` port.

    ``learn_ports`` asks one of several servers where its node link is, each of which may have another port.
    ``returned`` gets a fresh certificate when the server takes ours no longer; it raises GamekeeperError.

    ``clock`` follows the server's: by the estimated offset of this machine's own clock, and by its stamps.
    """

    def __init__(
        self,
        servers: Sequence[ServerAddress],
        identity: Identity,
        introduction: Introduction,
        welcomed: Callable[[pb.Welcome], None],
        compression: str = "",
        returned: Callable[[], Awaitable[None]] | None = None,
        learn_ports: Callable[[ServerAddress], Awaitable[None]] | None = None,
    ) -> None:
        self._servers = servers
        self._identity = identity
        self._returned = returned
        self._learn_ports = learn_ports
        self._compression = compression
        self._instance = uuid.uuid4().hex
        self._turn = 0
        self.calls = LinkCalls(self._new_dial())
        self.connected = self.calls.connected
        self.place = Place()
        self._introduction = introduction
        self._welcomed = welcomed
        self._outbox: asyncio.Queue[pb.AgentMessage] = asyncio.Queue()
        self._phases: dict[StepKey, pb.StepPhase] = {}
        self._untold: dict[StepKey, asyncio.TimerHandle] = {}
        self._offset = ClockOffset()
        self._period = 1.0
        self._sent: dict[int, int] = {}
        self._seen_at = -math.inf
        self._returned_at = time.monotonic()
        self._warned_at = -math.inf
        self._disagreements = 0
        self.clock = HybridClock(lambda: self.server_time_ns() // 1_000_000)

    @property
    def server(self) -> str:
        return self.calls.server

    async def stagger(self, periods: float = 1.0) -> None:
        """Waits a part of so many heartbeats' periods, which a server with many nodes makes longer: when a whole fleet
        comes back, its sessions go before all else."""
        await asyncio.sleep(jittered(periods * self._period / 2, spread=1.0))

    def server_time_ns(self) -> int:
        """Now by the server's clock, as far as it is known."""
        return time.time_ns() - self._offset.offset_ns

    def report(self, key: StepKey, phase: StepState, message: str = "", container_id: str = "") -> None:
        told = pb.StepPhase(
            key=key_to_pb(key),
            phase=phase.value,
            message=message[:500],
            container_id=container_id,
            at_ns=time.time_ns(),
            hlc=self.clock.tick(),
        )
        self._phases[key] = told
        if key not in self._untold:
            self._untold[key] = asyncio.get_running_loop().call_later(PHASE_SECONDS, self._tell, key)

    def _tell(self, key: StepKey) -> None:
        del self._untold[key]
        if self.connected.is_set() and self._outbox.qsize() < OUTBOX:  # the newest is told again after a reconnect
            self._outbox.put_nowait(pb.AgentMessage(step_phase=self._phases[key]))

    def forget(self, key: StepKey) -> None:
        self._phases.pop(key, None)
        if (untold := self._untold.pop(key, None)) is not None:
            untold.cancel()

    async def run_forever(self) -> None:
        """Holds a session; ends only when cancelled."""
        backoff = Backoff()
        while True:
            wait, is_passing, is_in_line = 0.0, True, False
            try:
                await self._session(backoff)
            except grpc.aio.AioRpcError as error:
                self._log_loss(error)
                self._note_place(error)
                wait, is_in_line = _retry_after(error), _told(error, IN_LINE) != ""
                is_passing = error.code() is grpc.StatusCode.UNAVAILABLE
                if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.FAILED_PRECONDITION):
                    backoff.failures = max(backoff.failures, SELDOM)  # not a passing trouble: ask seldom
                    self._instance = uuid.uuid4().hex  # who took the session over may be a copy of this very process
                await self._return_if_refused(error, backoff)
            except GamekeeperError as error:
                self.place.unanswered()
                log.warning("%s", error)
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                self.place.unanswered()
                log.warning("node link to %s: the stream was cut", self.server)
            finally:
                if self.connected.is_set():
                    self._seen_at = time.monotonic()
                self.connected.clear()
            fresh = is_passing and time.monotonic() - self._seen_at < FRESH_SECONDS
            backoff.maximum = SOON_SECONDS if fresh else MAXIMUM_SECONDS
            await self._pause(backoff, wait, is_in_line)

    async def _pause(self, backoff: Backoff, wait: float, is_in_line: bool) -> None:
        if is_in_line:  # the server has counted who comes when: our backoff would spoil that, and another server too
            await asyncio.sleep(wait)
        else:
            await asyncio.sleep(max(wait, backoff.next_delay()))
            await self._next_server()

    async def _next_server(self) -> None:
        if len(self._servers) > 1:
            self._turn += 1
            if self._learn_ports is not None:
                with suppress(GamekeeperError):  # a server that is away is dialled where the others listen
                    await self._learn_ports(self._servers[self._turn % len(self._servers)])
            old, self.calls.dial = self.calls.dial, self._new_dial()
            await old.close()

    def redial(self) -> None:
        """New connections, for the identity's newest certificate; what goes on over the old ones goes on."""
        old, self.calls.dial = self.calls.dial, self._new_dial()
        old.retire()

    def _new_dial(self) -> Dial:
        server = self._servers[self._turn % len(self._servers)]
        port = self._identity.link_ports.get(str(server), self._identity.link_port)
        return Dial(server.at(port), self._identity.good_credentials, self._compression)

    async def _return_if_refused(self, error: grpc.aio.AioRpcError, backoff: Backoff) -> None:
        """Joins again by the node's key when the certificate ran out or is not taken, or the server was not reached for
        long: its port may be another one. A refusal is told, and asked again seldom."""
        now = time.monotonic()
        if _told(error, IN_LINE):
            self._returned_at, self._disagreements = now, 0  # it is there, and busy
            return
        is_refused = error.code() is grpc.StatusCode.UNAUTHENTICATED or self._identity.good_credentials.have_run_out
        self._disagreements = self._disagreements + 1 if DISAGREEMENT.search(error.details() or "") else 0
        is_refused = is_refused or self._disagreements >= DISAGREEMENTS
        if self._returned is None or not (is_refused or now - max(self._seen_at, self._returned_at) > LONG_SECONDS):
            return
        self._returned_at = now
        self._disagreements = 0
        try:
            await self._returned()
        except UnauthenticatedError as refusal:
            backoff.failures = max(backoff.failures, SELDOM)
            log.warning("%s", refusal)
        except GamekeeperError as trouble:
            if now - self._warned_at >= LONG_SECONDS:  # one whose certificate ran out asks with each try
                self._warned_at = now
                log.warning("%s", trouble)
        else:
            self.redial()
            backoff.reset()

    def _note_place(self, error: grpc.aio.AioRpcError) -> None:
        if error.code() is grpc.StatusCode.ALREADY_EXISTS:
            self.place.refused()
        else:
            self.place.unanswered()

    def _log_loss(self, error: grpc.aio.AioRpcError) -> None:
        """Tells that a working link broke, or that the reason is not a passing one; silent while it retries."""
        if self.connected.is_set() or error.code() is not grpc.StatusCode.UNAVAILABLE:
            log.warning("node link to %s: %s", self.server, error.details())

    async def _session(self, backoff: Backoff) -> None:
        hello = pb.AgentMessage(hello=self._hello(await self._introduction.facts()))
        with (dial := self.calls.dial).in_use():
            call = dial.control.Session(metadata=self.calls.metadata)
            try:
                welcome = await self._greet(call, hello)
            except BaseException:
                call.cancel()
                raise
            self._begin(welcome, backoff)
            await self._talk(call, welcome)

    def _begin(self, welcome: pb.Welcome, backoff: Backoff) -> None:
        period = _period(welcome.heartbeat_ms)
        self._period = period if self.calls.epoch == 0 else max(self._period, period)
        self.calls.epoch = welcome.epoch
        self._sent = {}
        self._offset = ClockOffset()  # perhaps another server, perhaps a clock that was set
        self._outbox = asyncio.Queue()
        for phase in self._phases.values():
            self._outbox.put_nowait(pb.AgentMessage(step_phase=phase))
        self.connected.set()
        self.place.welcomed()
        self._welcomed(welcome)
        backoff.reset()
        log.info("node link to %s is up as node %s, epoch %d", self.server, welcome.node_id, welcome.epoch)

    async def _greet(self, call: Any, hello: pb.AgentMessage) -> pb.Welcome:
        try:
            async with asyncio.timeout(WELCOME_SECONDS):
                with suppress(asyncio.InvalidStateError):  # the call has failed already, and reading tells why
                    await call.write(hello)
                first: Any = readable(await call.read(), self.server)
        except TimeoutError as error:
            raise UnavailableError(f"{self.server} did not welcome us in {WELCOME_SECONDS:.0f} s") from error
        if first is not grpc.aio.EOF and first.WhichOneof("body") != "welcome":
            raise UnavailableError(f"{self.server} did not welcome us: its first word was another one")
        if first is grpc.aio.EOF:
            await call.code()  # raises nothing; the status below says why
            raise UnavailableError(f"{self.server} did not welcome us: {await call.details()}")
        welcome: pb.Welcome = first.welcome
        return welcome

    def _hello(self, facts: NodeFacts) -> pb.Hello:
        return pb.Hello(
            protocol_version=PROTOCOL_VERSION,
            agent_version=__version__,
            facts=facts_to_pb(facts),
            policy_json=self._introduction.policy.model_dump_json(),
            instance=self._instance,
            abilities=list(Ability),
        )

    async def _talk(self, call: Any, welcome: pb.Welcome) -> None:
        """Talks until the session ends: beats and phases out, acknowledgements in. Silence for a lease ends it where
        there is another server. A connection that broke is found by gRPC's keepalive, long before our patience ends."""
        writing = asyncio.create_task(self._write(call))
        patience = PATIENCE if len(self._servers) == 1 else 1
        lease = patience * _lease(welcome.lease_ms)
        try:
            while True:
                async with asyncio.timeout(lease / 1000):  # wait_for would lose a cancel that comes with an answer
                    answer = readable(await call.read(), self.server)
                if answer is grpc.aio.EOF:
                    log.info("%s ended the session: %s", self.server, await call.details())
                    return
                if answer.WhichOneof("body") == "heartbeat_ack":
                    self._learn(answer.heartbeat_ack)
                    told = answer.heartbeat_ack.lease_ms
                    lease = patience * _lease(told) if told else lease
        except TimeoutError as error:
            raise UnavailableError(f"{self.server} was silent for {lease} ms; reconnecting") from error
        finally:
            writing.cancel()
            call.cancel()

    def _learn(self, ack: pb.HeartbeatAck) -> None:
        sent_ns = self._sent.pop(ack.seq, 0)
        if ack.received_ns and sent_ns:  # a server of the version before tells no times
            self._offset.add(sent_ns, ack.received_ns, ack.sent_ns, time.time_ns())
            self.clock.observe(ack.hlc)
        if ack.heartbeat_ms:
            self._period = _period(ack.heartbeat_ms)

    async def _write(self, call: Any) -> None:
        """Beats at once, so that the clock is known soon, then periodically; phases as they come."""
        seq = 0
        loop = asyncio.get_running_loop()
        next_beat = loop.time()
        while True:
            message = None
            if loop.time() < next_beat:  # however much there is to tell, a beat that is due comes first
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(next_beat):
                        message = await self._outbox.get()
            if message is None:
                seq += 1
                message = self._heartbeat(seq)
                next_beat = loop.time() + jittered(self._period)
            try:
                await call.write(message)
            except asyncio.InvalidStateError:
                return  # the session has ended; its reader hears why

    def _heartbeat(self, seq: int) -> pb.AgentMessage:
        vitals = self._introduction.vitals()
        self._sent[seq] = sent_ns = time.time_ns()
        beat = pb.Heartbeat(
            seq=seq,
            sent_ns=sent_ns,
            clock_offset_ns=self._offset.offset_ns,
            round_trip_ns=self._offset.round_trip_ns,
            hlc=self.clock.tick(),
            docker_error=(vitals.docker_error or "")[:300],
            work_error=(vitals.work_error or "")[:300],
            spool_bytes=int(vitals.spool_bytes or 0),
        )
        return pb.AgentMessage(heartbeat=beat)

    async def close(self) -> None:
        await self.calls.dial.close()


def _lease(told_ms: int) -> int:
    return min(max(told_ms, SHORTEST_MS), LONGEST_LEASE_MS)


def _period(told_ms: int) -> float:
    return min(max(told_ms, SHORTEST_MS), LONGEST_PERIOD_MS) / 1000


def _retry_after(error: grpc.aio.AioRpcError) -> float:
    """Seconds that the server asks us to wait at least."""
    return min(300.0, (whole_number(_told(error, RETRY_AFTER)) or 0) / 1000)


def _told(error: grpc.aio.AioRpcError, name: str) -> str:
    """A value of the status' metadata; empty where it is not told."""
    return next((str(value) for key, value in error.trailing_metadata() or () if key == name), "")
