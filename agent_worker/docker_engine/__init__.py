"""ContainerEngine on Docker: the only package that imports the Docker SDK."""

from agent_worker.docker_engine.engine import DockerEngine

__all__ = ["DockerEngine"]
