"""The engine that the settings name, as it is, and as all others than the follower of logs have it."""

from __future__ import annotations

from dataclasses import dataclass

from agent_worker.masking.masked_engine import masked_engine
from agent_worker.secrets.held import SecretsOfContainers
from agent_worker.settings import AgentSettings
from gamekeeper.ports.container_engine import ContainerEngine


@dataclass(frozen=True)
class Engines:
    """In what comes from the ``masked`` one, no value is that the ``secrets`` hold. Of the ``bare`` one the logs are
    read."""

    bare: ContainerEngine
    masked: ContainerEngine
    secrets: SecretsOfContainers


def build_engines(settings: AgentSettings, node_id: str) -> Engines:
    secrets = SecretsOfContainers()
    bare = build_engine(settings, node_id, secrets)
    return Engines(bare, masked_engine(bare, secrets), secrets)


def build_engine(settings: AgentSettings, node_id: str, secrets: SecretsOfContainers) -> ContainerEngine:
    """``secrets`` is told the values of its containers."""
    if settings.engine == "dummy":
        from agent_worker.dummy_engine import DummyEngine

        return DummyEngine(node_id, secrets)
    from agent_worker.docker_engine import DockerEngine

    return DockerEngine(node_id, held=secrets)
