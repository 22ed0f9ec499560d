"""The shared base of the node link's calls: the services that they use, and the identity of the calling node.

Identity comes from the call's metadata, never from a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc

from api.grpc.telemetry_intake import TelemetryIntake
from api.services.access.enrolment import EnrolmentService
from api.services.event import EventService
from api.services.node.condition import ConditionService
from api.services.node.console import ConsoleService
from api.services.node.container import ContainerService
from api.services.node.inventory import InventoryService
from api.services.node.presence import Presence
from api.services.run.step_phase import StepPhaseService
from api.settings import ApiSettings
from gamekeeper.actor import set_actor
from gamekeeper.domain.event.hlc import HybridClock
from gamekeeper.ports.log_store import LogStore
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.supervised import Supervised
from gamekeeper.uncancelled import uncancelled

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class LinkConfig:
    """The settings that agents are told when they are welcomed."""

    temporal_address: str
    temporal_namespace: str
    cancel_is_pushed: bool
    metrics_ms: int = 5000
    log_bytes_per_second: int = 0

    @classmethod
    def of(cls, settings: ApiSettings, temporal_address: str, temporal_namespace: str) -> LinkConfig:
        """``temporal_address`` is where this process found Temporal, for want of a setting."""
        return cls(
            temporal_address=settings.temporal_for_agents or settings.temporal or temporal_address,
            temporal_namespace=temporal_namespace,
            cancel_is_pushed=settings.cancel_is_pushed,
            metrics_ms=settings.metrics_ms,
            log_bytes_per_second=settings.log_bytes_per_second,
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
    session_writes: Supervised


class LinkCalls(pb_grpc.NodeLinkServicer):
    """Each concern of the node link is a subclass with the calls of that concern."""

    def __init__(self, services: LinkServices, config: LinkConfig) -> None:
        self._services = services
        self._config = config

    async def _node(self, context: Context) -> str:
        """The calling node. Raises for a wrong key and for an epoch that is over."""
        node_id = await uncancelled(self._services.enrolment.authenticate(metadata(context, "authorization")))
        set_actor(f"agent:{node_id}")
        epoch = metadata(context, "gamekeeper-epoch")
        await uncancelled(self._services.presence.check_epoch(node_id, int(epoch) if epoch.isdigit() else 0))
        return node_id


def metadata(context: Context, name: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return ""
