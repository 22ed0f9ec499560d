"""The session of an agent: it says hello, beats, and is pushed what concerns its node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime

from api.grpc.errors import translated
from api.grpc.link_calls import Context, LinkCalls
from api.grpc.outgoing import Outgoing
from api.grpc.policy import read_policy
from api.grpc.session_writer import SessionWriter, ToldPhase
from api.grpc.subscription import pushes
from api.services.bucket import Bucket
from api.services.node.agent_session import AgentSession
from gamekeeper import __version__
from gamekeeper.domain.event.event import NodeTime
from gamekeeper.domain.node.condition import Vitals
from gamekeeper.domain.run.step import StepState
from gamekeeper.errors import InvalidError, PreconditionError
from gamekeeper.rpc.convert import facts_from_pb, step_key_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.version import version_problem

MESSAGES_PER_SECOND = 200.0  # of one session, which is not read for a while when it says more
MESSAGES_AT_ONCE = 12_000.0  # an agent that comes back tells the phases of all its steps


class SessionCalls(LinkCalls):
    """Session and Subscribe."""

    async def Session(
        self, messages: AsyncIterator[pb.AgentMessage], context: Context
    ) -> AsyncIterator[pb.ServerMessage]:
        async with translated(context), self._member(context, "Session") as call:
            first = await anext(aiter(messages), None)
            async with self._services.presence.admission.opening(call.node_id):
                session = await self._open(call.node_id, first)
            writer, outgoing = self._writer(session), Outgoing()
            call.when_over(outgoing.end)
            try:
                version = first.hello.agent_version[:100] if first else None
                writer.vitals("hello", Vitals(agent_version=version, server_version=__version__))
                yield pb.ServerMessage(welcome=self._welcome(session))
                async for answer in self._answers(session, messages, writer, outgoing):
                    yield answer
            finally:
                writer.end()
                self._services.presence.close(session)

    async def _open(self, node_id: str, first: pb.AgentMessage | None) -> AgentSession:
        if first is None or first.WhichOneof("body") != "hello":
            raise InvalidError("a session begins with Hello")
        hello = first.hello
        _check_version(hello.protocol_version)
        facts = facts_from_pb(hello.facts, hello.agent_version[:100], hello.abilities)
        return await self._services.presence.open(node_id, facts, read_policy(hello.policy_json), hello.instance[:64])

    def _writer(self, session: AgentSession) -> SessionWriter:
        services = self._services
        return SessionWriter(session, services.phases, services.conditions, services.session_writes)

    def _welcome(self, session: AgentSession) -> pb.Welcome:
        config = self._config
        heartbeat_ms, lease_ms = self._services.presence.times(session)
        return pb.Welcome(
            node_id=session.node_id,
            epoch=session.epoch,
            heartbeat_ms=heartbeat_ms,
            lease_ms=lease_ms,
            temporal_address=config.temporal_address,
            temporal_namespace=config.temporal_namespace,
            cancel_is_pushed=config.cancel_is_pushed,
            metrics_ms=config.metrics_ms,
            log_bytes_per_second=config.log_bytes_per_second,
            gateway_port=config.gateway_port,
            gateway_address=config.gateway_address,
        )

    async def _answers(
        self, session: AgentSession, messages: AsyncIterator[pb.AgentMessage], writer: SessionWriter, outgoing: Outgoing
    ) -> AsyncGenerator[pb.ServerMessage, None]:
        """Answers each beat from memory, whatever the database does."""
        reading = asyncio.create_task(self._read(session, messages, writer, outgoing))
        superseded = asyncio.create_task(_superseded(session, outgoing))
        try:
            async for answer in outgoing.answers():
                yield answer
        finally:
            reading.cancel()
            superseded.cancel()

    async def _read(
        self, session: AgentSession, messages: AsyncIterator[pb.AgentMessage], writer: SessionWriter, outgoing: Outgoing
    ) -> None:
        bucket = Bucket(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE)
        try:
            async for message in messages:
                received_ns = time.time_ns()
                self._services.presence.beat(session)
                if message.WhichOneof("body") == "step_phase":
                    _note_phase(session, message.step_phase, writer)
                elif message.WhichOneof("body") == "heartbeat":
                    await outgoing.put(self._acknowledge(session, message.heartbeat, received_ns, writer))
                if wait := bucket.take():
                    await asyncio.sleep(wait)
        except Exception as error:
            outgoing.end(error)
        else:
            outgoing.end()

    def _acknowledge(
        self, session: AgentSession, beat: pb.Heartbeat, received_ns: int, writer: SessionWriter
    ) -> pb.ServerMessage:
        clock, presence = self._services.clock, self._services.presence
        clock.observe(beat.hlc)
        session.clock_offset_ns = beat.clock_offset_ns
        if beat.round_trip_ns:
            presence.lateness.heard(session.node_id, session.delay_of(beat.sent_ns, received_ns))
        measured, stalled = beat.round_trip_ns > 0, presence.may_have_delayed(session.node_id)
        # A stall of ours lengthens the round trip, and an offset is never better known than to half of that.
        offset_proves = measured and not (stalled and abs(beat.clock_offset_ns) <= beat.round_trip_ns / 2)
        vitals = Vitals(
            docker_error=beat.docker_error[:300],
            work_error=beat.work_error[:300],
            clock_offset_seconds=beat.clock_offset_ns / 1e9 if offset_proves else None,
            round_trip_seconds=beat.round_trip_ns / 1e9 if measured and not stalled else None,
            spool_bytes=beat.spool_bytes,
            link_refusal=self._services.allowance.trouble(session.node_id),
            logs_held_back=self._services.logs.held_back(session.node_id),
        )
        writer.vitals("heartbeat", vitals)
        heartbeat_ms, lease_ms = presence.times(session)
        return pb.ServerMessage(
            heartbeat_ack=pb.HeartbeatAck(
                seq=beat.seq,
                received_ns=received_ns,
                sent_ns=time.time_ns(),
                hlc=clock.tick(),
                heartbeat_ms=heartbeat_ms,
                lease_ms=lease_ms,
            )
        )

    async def Subscribe(self, request: pb.SubscribeRequest, context: Context) -> AsyncIterator[pb.Push]:
        async with translated(context), self._node(context, "Subscribe") as call:
            session = self._services.presence.session(call.node_id)
            if session is None:
                raise PreconditionError("there is no session", hint="open one before subscribing")
            async for push in call.stream(pushes(self._services.events, session, request.after_seq)):
                yield push


async def _superseded(session: AgentSession, outgoing: Outgoing) -> None:
    await session.superseded.wait()
    outgoing.end(PreconditionError(f"another agent took over node {session.node_id}", hint="run one agent for a node"))


def _note_phase(session: AgentSession, phase: pb.StepPhase, writer: SessionWriter) -> None:
    """Raises InvalidError for a key that is none. A state that this version does not know is left out."""
    try:
        state = StepState(phase.phase)
    except ValueError:
        return
    key, told = step_key_from_pb(phase.key), _told(session, phase)
    writer.phase(ToldPhase(key, state, phase.message[:500], phase.container_id[:64], told))


def _told(session: AgentSession, phase: pb.StepPhase) -> NodeTime:
    """The time at which the node saw it; an agent of the version before does not say."""
    if not phase.at_ns:
        return NodeTime()
    node_at = datetime.fromtimestamp(phase.at_ns / 1e9, UTC)
    return NodeTime(node_at=node_at, clock_offset_ms=session.clock_offset_ns / 1e6, hlc=phase.hlc or None)


def _check_version(version: int) -> None:
    problem = version_problem(version, other_is="agent")
    if problem:
        raise PreconditionError(problem)
