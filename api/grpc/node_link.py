"""The NodeLink servicer. Identity comes from the call's metadata, never from a message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from pydantic import ValidationError

from api.grpc.errors import translated
from api.services.container import ContainerService, Disposal, ReportedContainer
from api.services.enrolment import EnrolmentService
from api.services.presence import AgentSession, Presence
from api.services.step_phase import StepPhaseService
from gamekeeper.db.models import ContainerRow
from gamekeeper.domain.policy import NodePolicy
from gamekeeper.domain.step import StepKey, StepState
from gamekeeper.errors import InvalidError, NotFoundError, PreconditionError
from gamekeeper.ports.log_store import LogStore
from gamekeeper.rpc.convert import facts_from_pb, key_from_pb, key_to_pb, record_from_pb, time_from_ms
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import version_problem

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

    heartbeat_ms: int
    lease_ms: int
    temporal_address: str
    temporal_namespace: str
    cancel_is_pushed: bool


@dataclass(frozen=True)
class LinkServices:
    enrolment: EnrolmentService
    presence: Presence
    phases: StepPhaseService
    containers: ContainerService
    logs: LogStore


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
        return await self._services.presence.open(node_id, facts, _policy(hello.policy_json))

    def _welcome(self, session: AgentSession) -> pb.Welcome:
        config = self._config
        return pb.Welcome(
            node_id=session.node_id,
            epoch=session.epoch,
            heartbeat_ms=config.heartbeat_ms,
            lease_ms=config.lease_ms,
            temporal_address=config.temporal_address,
            temporal_namespace=config.temporal_namespace,
            cancel_is_pushed=config.cancel_is_pushed,
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
        await self._services.presence.beat(session)
        body = message.WhichOneof("body")
        if body == "heartbeat":
            return pb.ServerMessage(heartbeat_ack=pb.HeartbeatAck(seq=message.heartbeat.seq))
        if body == "step_phase":
            phase = message.step_phase
            with suppress(ValueError):  # a phase that this version does not know is no reason to lose the session
                state = StepState(phase.phase)
                await self._services.phases.observe(
                    session.node_id, key_from_pb(phase.key), state, phase.message[:500], phase.container_id[:64]
                )
        return None

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
            acks: dict[StepKey, pb.LogAck] = {}
            async for batch in batches:
                key = key_from_pb(batch.key)
                ack = acks.get(key) or await self._first_ack(node_id, key)
                acks[key] = ack
                if not ack.refused:
                    records = [record_from_pb(record) for record in batch.records]
                    ack.seq = await self._services.logs.append(key, records)
            return pb.UploadLogsResponse(acks=list(acks.values()))

    async def _first_ack(self, node_id: str, key: StepKey) -> pb.LogAck:
        """One log that is refused must not hold up the others of its node."""
        try:
            await self._services.phases.check_owner(node_id, key)
        except (InvalidError, NotFoundError) as error:
            return pb.LogAck(key=key_to_pb(key), refused=str(error))
        return pb.LogAck(key=key_to_pb(key))

    async def _node(self, context: Context) -> str:
        """The calling node. Raises for a wrong key and for an epoch that is over."""
        node_id = await self._services.enrolment.authenticate(_metadata(context, "authorization"))
        epoch = _metadata(context, "gamekeeper-epoch")
        await self._services.presence.check_epoch(node_id, int(epoch) if epoch.isdigit() else 0)
        return node_id


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
    )
    return ReportedContainer(row, key, item.ended, timedelta(milliseconds=item.age_ms))
