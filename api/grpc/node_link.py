"""The NodeLink servicer. Identity comes from the call's metadata, never from a message."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import grpc
from pydantic import ValidationError

from api.grpc.console import carry
from api.grpc.errors import translated
from api.grpc.log_intake import LogIntake
from api.grpc.subscription import pushes
from api.grpc.telemetry import TelemetryIntake
from api.services.access.enrolment import EnrolmentService
from api.services.event import EventService
from api.services.node.condition import ConditionService
from api.services.node.console import ConsoleService
from api.services.node.container import ContainerService, ReportedContainer
from api.services.node.inventory import InventoryService
from api.services.node.presence import AgentSession, Presence
from api.services.run.step_phase import StepPhaseService
from api.settings import ApiSettings
from gamekeeper import __version__
from gamekeeper.actor import set_actor
from gamekeeper.db.models import ContainerRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.domain.event.event import NodeTime
from gamekeeper.domain.event.hlc import HybridClock
from gamekeeper.domain.node.condition import Vitals
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.disposal import Disposal
from gamekeeper.domain.run.step import StepState
from gamekeeper.errors import InvalidError, PreconditionError
from gamekeeper.ports.log_store import LogStore
from gamekeeper.rpc.convert import (
    facts_from_pb,
    inventory_from_pb,
    key_from_pb,
    time_from_ms,
)
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import version_problem
from gamekeeper.uncancelled import uncancelled

Context = grpc.aio.ServicerContext[Any, Any]
_VERDICTS = {
    Disposal.KEEP: pb.VERDICT_KEEP,
    Disposal.REMOVE: pb.VERDICT_REMOVE,
    Disposal.STOP: pb.VERDICT_STOP,
}
MAX_POLICY_BYTES = 64 * 1024


@dataclass(frozen=True)
class LinkConfig:
    """What agents are told when they are welcomed."""

    temporal_address: str
    temporal_namespace: str
    cancel_is_pushed: bool
    metrics_ms: int = 5000
    log_bytes_per_second: int = 0

    @classmethod
    def of(cls, settings: ApiSettings, temporal_address: str, temporal_namespace: str) -> LinkConfig:
        """``temporal_address`` is where this process found Temporal, for want of a setting."""
        return cls(
            settings.temporal_for_agents or settings.temporal or temporal_address,
            temporal_namespace,
            settings.cancel_is_pushed,
            settings.metrics_ms,
            settings.log_bytes_per_second,
        )


@dataclass(frozen=True)
class LinkServices:
    enrolment: EnrolmentService
    presence: Presence
    phases: StepPhaseService
    containers: ContainerService
    logs: LogStore
    events: EventService
    inventory: InventoryService
    conditions: ConditionService
    telemetry: TelemetryIntake
    consoles: ConsoleService
    clock: HybridClock


class NodeLink(pb_grpc.NodeLinkServicer):
    def __init__(self, services: LinkServices, config: LinkConfig) -> None:
        self._services = services
        self._config = config

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        async with translated(context):
            _check_version(request.protocol_version)
            node_id, key = await self._services.enrolment.register(request.token)
            return pb.RegisterResponse(node_id=node_id, node_key=key)

    async def Session(
        self, messages: AsyncIterator[pb.AgentMessage], context: Context
    ) -> AsyncIterator[pb.ServerMessage]:
        async with translated(context):
            node_id = await self._services.enrolment.authenticate(_metadata(context, "authorization"))
            set_actor(f"agent:{node_id}")
            session = await self._open(node_id, await anext(aiter(messages), None))
            try:
                yield pb.ServerMessage(welcome=self._welcome(session))
                async for answer in self._answers(session, messages):
                    yield answer
            finally:
                self._services.presence.close(session)

    async def _open(self, node_id: str, first: pb.AgentMessage | None) -> AgentSession:
        if first is None or first.WhichOneof("body") != "hello":
            raise InvalidError("a session begins with Hello")
        hello = first.hello
        _check_version(hello.protocol_version)
        facts = facts_from_pb(hello.facts, hello.agent_version[:100])
        session = await self._services.presence.open(node_id, facts, _policy(hello.policy_json), hello.instance[:64])
        vitals = Vitals(agent_version=facts.agent_version, server_version=__version__)
        await self._services.conditions.observe(node_id, vitals)
        return session

    def _welcome(self, session: AgentSession) -> pb.Welcome:
        config = self._config
        return pb.Welcome(
            node_id=session.node_id,
            epoch=session.epoch,
            heartbeat_ms=self._services.presence.heartbeat_ms,
            lease_ms=self._services.presence.lease_ms,
            temporal_address=config.temporal_address,
            temporal_namespace=config.temporal_namespace,
            cancel_is_pushed=config.cancel_is_pushed,
            metrics_ms=config.metrics_ms,
            log_bytes_per_second=config.log_bytes_per_second,
        )

    async def _answers(
        self, session: AgentSession, messages: AsyncIterator[pb.AgentMessage]
    ) -> AsyncIterator[pb.ServerMessage]:
        superseded = asyncio.create_task(session.superseded.wait())
        try:
            while True:
                reading = asyncio.ensure_future(anext(aiter(messages), None))
                await asyncio.wait({reading, superseded}, return_when=asyncio.FIRST_COMPLETED)
                if superseded.done():
                    reading.cancel()
                    raise PreconditionError(
                        f"another agent took over node {session.node_id}", hint="run one agent for a node"
                    )
                message = reading.result()
                if message is None:
                    return
                answer = await self._receive(session, message)
                if answer is not None:
                    yield answer
        finally:
            superseded.cancel()

    async def _receive(self, session: AgentSession, message: pb.AgentMessage) -> pb.ServerMessage | None:
        received_ns = time.time_ns()
        await self._services.presence.beat(session)
        body = message.WhichOneof("body")
        if body == "heartbeat":
            return await self._acknowledge(session, message.heartbeat, received_ns)
        if body == "step_phase":
            phase = message.step_phase
            with suppress(ValueError):  # a phase that this version does not know is no reason to lose the session
                state = StepState(phase.phase)
                await self._services.phases.observe(
                    session.node_id,
                    key_from_pb(phase.key),
                    state,
                    phase.message[:500],
                    phase.container_id[:64],
                    _told(session, phase),
                )
        return None

    async def _acknowledge(self, session: AgentSession, beat: pb.Heartbeat, received_ns: int) -> pb.ServerMessage:
        clock, presence = self._services.clock, self._services.presence
        clock.observe(beat.hlc)
        session.clock_offset_ns = beat.clock_offset_ns
        measured = beat.round_trip_ns > 0
        vitals = Vitals(
            docker_error=beat.docker_error[:300],
            clock_offset_seconds=beat.clock_offset_ns / 1e9 if measured else None,
            round_trip_seconds=beat.round_trip_ns / 1e9 if measured else None,
            spool_bytes=beat.spool_bytes,
        )
        await self._services.conditions.observe(session.node_id, vitals)
        return pb.ServerMessage(
            heartbeat_ack=pb.HeartbeatAck(
                seq=beat.seq,
                received_ns=received_ns,
                sent_ns=time.time_ns(),
                hlc=clock.tick(),
                heartbeat_ms=presence.heartbeat_ms,
                lease_ms=presence.lease_ms,
            )
        )

    async def ReportInventory(self, request: pb.Inventory, context: Context) -> pb.ReportInventoryResponse:
        async with translated(context):
            node_id = await self._node(context)
            changed = await self._services.inventory.report(node_id, inventory_from_pb(request))
            return pb.ReportInventoryResponse(changed=changed)

    async def Subscribe(self, request: pb.SubscribeRequest, context: Context) -> AsyncIterator[pb.Push]:
        async with translated(context):
            session = self._services.presence.session(await self._node(context))
            if session is None:
                raise PreconditionError("there is no session", hint="open one before subscribing")
            async for push in pushes(self._services.events, session, request.after_seq):
                yield push

    async def ReportMetrics(
        self, batches: AsyncIterator[pb.MetricsBatch], context: Context
    ) -> pb.ReportMetricsResponse:
        async with translated(context):
            node_id = await self._node(context)
            accepted = 0
            async for batch in batches:
                accepted += await self._services.telemetry.accept(node_id, batch)
            return pb.ReportMetricsResponse(accepted=accepted)

    async def ReportContainers(
        self, request: pb.ReportContainersRequest, context: Context
    ) -> pb.ReportContainersResponse:
        async with translated(context):
            node_id = await self._node(context)
            reported = [_reported(node_id, item) for item in request.containers]
            disposals, ended = await self._services.containers.report(node_id, reported, list(request.run_resources))
            verdicts = [
                pb.ContainerVerdict(id=container_id, verdict=_VERDICTS[disposal])
                for container_id, disposal in disposals.items()
            ]
            return pb.ReportContainersResponse(verdicts=verdicts, ended_runs=ended)

    async def UploadLogs(self, batches: AsyncIterator[pb.LogBatch], context: Context) -> pb.UploadLogsResponse:
        async with translated(context):
            node_id = await self._node(context)
            session = self._services.presence.session(node_id)
            offset_ns = session.clock_offset_ns if session else 0
            intake = LogIntake(self._services.logs, partial(self._services.phases.check_owner, node_id), offset_ns)
            async for batch in batches:
                await intake.accept(batch)
            return await intake.answer()

    async def Console(
        self, messages: AsyncIterator[pb.ConsoleOutput], context: Context
    ) -> AsyncIterator[pb.ConsoleInput]:
        async with translated(context):
            node_id = await self._node(context)
            first = await anext(aiter(messages), None)
            console = self._services.consoles.join(node_id, first.console_id if first is not None else "")
            async for message in carry(console, messages):
                yield message

    async def _node(self, context: Context) -> str:
        """The calling node. Raises for a wrong key and for an epoch that is over."""
        node_id = await uncancelled(self._services.enrolment.authenticate(_metadata(context, "authorization")))
        set_actor(f"agent:{node_id}")
        epoch = _metadata(context, "gamekeeper-epoch")
        await uncancelled(self._services.presence.check_epoch(node_id, int(epoch) if epoch.isdigit() else 0))
        return node_id


def _told(session: AgentSession, phase: pb.StepPhase) -> NodeTime:
    """When the node saw it; an agent of the version before does not say."""
    if not phase.at_ns:
        return NodeTime()
    node_at = datetime.fromtimestamp(phase.at_ns / 1e9, UTC)
    return NodeTime(node_at=node_at, clock_offset_ms=session.clock_offset_ns / 1e6, hlc=phase.hlc or None)


def _check_version(version: int) -> None:
    problem = version_problem(version, other_is="agent")
    if problem:
        raise PreconditionError(problem)


def _metadata(context: Context, name: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return ""


def _policy(text: str) -> NodePolicy:
    if len(text) > MAX_POLICY_BYTES:
        raise InvalidError("the node's policy is over 64 KiB")
    try:
        return NodePolicy.model_validate(json.loads(text or "{}"))
    except (ValueError, ValidationError) as error:
        raise InvalidError(f"the node's policy can't be read: {error}") from error


def _reported(node_id: str, item: pb.Container) -> ReportedContainer:
    key = key_from_pb(item.key)
    row = ContainerRow(
        node_id=node_id,
        id=item.id[:64],
        name=item.name[:255],
        image=item.image[:500],
        status=item.status[:20],
        health=item.health[:20],
        run_id=key.run_id,
        step=key.step,
        try_number=key.try_,
        pipeline=item.pipeline[:63],
        lifetime="node" if item.lifetime == "node" else "run",
        exit_code=item.exit_code if item.ended else None,
        ports=[port[:60] for port in item.ports[:100]],
        started_at=time_from_ms(item.started_at_ms),
        seen_at=utc_now(),
    )
    return ReportedContainer(row, key, item.ended, timedelta(milliseconds=item.age_ms))
