"""What the activities of one node work with: ports, and the node's own policy."""

from __future__ import annotations

from dataclasses import dataclass

from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.ports.container_engine import ContainerEngine
from gamekeeper.ports.node_agent import Containers, Journal, Phases, StepLogs


@dataclass(frozen=True)
class NodeContext:
    """What the activities of one node work with."""

    engine: ContainerEngine
    journal: Journal
    logs: StepLogs
    phases: Phases
    containers: Containers
    policy: NodePolicy
    heartbeat_seconds: float = 10.0
