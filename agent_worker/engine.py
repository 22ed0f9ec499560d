"""The engine that the settings name."""

from __future__ import annotations

from agent_worker.settings import AgentSettings
from gamekeeper.ports.container_engine import ContainerEngine


def build_engine(settings: AgentSettings, node_id: str) -> ContainerEngine:
    if settings.engine == "dummy":
        from agent_worker.dummy_engine import DummyEngine

        return DummyEngine(node_id)
    from agent_worker.docker_engine import DockerEngine

    return DockerEngine(node_id)
