"""The context of one node's activities: the ports that they work on, and the node's own policy."""

from __future__ import annotations

from dataclasses import dataclass, field

from gamekeeper.ports.container_engine import ContainerEngine
from gamekeeper.ports.node_agent import Containers, Inputs, Journal, Phases, StepLogs
from gamekeeper.ports.node_policy import OwnPolicy
from gamekeeper.ports.secret_source import NoSecrets, SecretSource


@dataclass(frozen=True)
class NodeContext:
    """The ports and the policy of one node, as its activities use them."""

    engine: ContainerEngine
    journal: Journal
    logs: StepLogs
    phases: Phases
    containers: Containers
    policy: OwnPolicy
    inputs: Inputs
    heartbeat_seconds: float = 10.0
    secrets: SecretSource = field(default_factory=NoSecrets)
