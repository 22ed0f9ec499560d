"""The shared base of the node link's calls: the services that they use, and the identity of the calling node.

Identity comes from the certificate of the connection, never from a message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc

from api.grpc.telemetry_intake import TelemetryIntake
from api.services.access.joining import JoinService
from api.services.access.standing import NodeCall, StandingService
from api.services.event import EventService
from api.services.instance.report import InstanceReportService
from api.services.node.allowance import Allowance
from api.services.node.condition import ConditionService
from api.services.node.console import ConsoleService
from api.services.node.container import ContainerService
from api.services.node.container_owner import ContainerOwners
from api.services.node.inventory import InventoryService
from api.services.node.presence import Presence
from api.services.node.secret_delivery import SecretDelivery
from api.services.run.step_phase import StepPhaseService
from api.settings import ApiSettings
from gamekeeper.actor import AGENT, set_actor
from gamekeeper.certificates.node_name import node_of
from gamekeeper.domain.event.hlc import HybridClock
from gamekeeper.errors import TooLargeError, UnauthenticatedError
from gamekeeper.ports.log_store import LogStore
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.supervised import Supervised
from gamekeeper.uncancelled import uncancelled
from gamekeeper.whole_number import whole_number

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class LinkConfig:
    """The settings that agents are told when they are welcomed."""

    temporal_address: str
    temporal_namespace: str
    cancel_is_pushed: bool
    metrics_ms: int = 5000
    log_bytes_per_second: int = 0
    gateway_port: int = 0
    gateway_address: str = ""

    @classmethod
    def of(cls, settings: ApiSettings, temporal_address: str, temporal_namespace: str) -> LinkConfig:
        """``temporal_address`` is where this process found Temporal, for want of a setting."""
        return cls(
            temporal_address=settings.temporal_for_agents or settings.temporal or temporal_address,
            temporal_namespace=temporal_namespace,
            cancel_is_pushed=settings.cancel_is_pushed,
            metrics_ms=settings.metrics_ms,
            log_bytes_per_second=settings.log_bytes_per_second,
            gateway_port=settings.gateway_port,
            gateway_address=settings.gateway_address,
        )


@dataclass(frozen=True)
class LinkServices:
    joining: JoinService
    standing: StandingService
    presence: Presence
    phases: StepPhaseService
    containers: ContainerService
    owners: ContainerOwners
    instances: InstanceReportService
    secrets: SecretDelivery
    logs: LogStore
    events: EventService
    inventory: InventoryService
    conditions: ConditionService
    telemetry: TelemetryIntake
    consoles: ConsoleService
    clock: HybridClock
    allowance: Allowance
    session_writes: Supervised


class LinkCalls(pb_grpc.NodeLinkServicer):
    """Each concern of the node link is a subclass with the calls of that concern."""

    def __init__(self, services: LinkServices, config: LinkConfig) -> None:
        self._services = services
        self._config = config

    def refused(self, context: Context, name: str, error: TooLargeError) -> None:
        """Notes a message that was refused for its size before the call ``name`` saw it."""
        with suppress(UnauthenticatedError):
            self._services.allowance.refused(node_of(context.auth_context()).node_id, name, "size", str(error))

    @asynccontextmanager
    async def _member(self, context: Context, name: str) -> AsyncIterator[NodeCall]:
        """The call ``name`` of a node whose certificate is good, within the limits of that call. Raises
        UnauthenticatedError for any other, LaterError over the limits."""
        certificate = node_of(context.auth_context())
        set_actor(AGENT + certificate.node_id)
        async with self._services.standing.held(certificate) as call:
            with self._services.allowance.call(call.node_id, name):
                yield call

    @asynccontextmanager
    async def _node(self, context: Context, name: str) -> AsyncIterator[NodeCall]:
        """The same within a session. Raises also for an epoch that is over."""
        async with self._member(context, name) as call:
            epoch = metadata(context, "gamekeeper-epoch")
            await uncancelled(self._services.presence.check_epoch(call.node_id, whole_number(epoch) or 0))
            yield call


def metadata(context: Context, name: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return ""
