"""ContainerEngine on Docker. No other package imports the Docker SDK, so its errors and words end here."""

from agent_worker.docker_engine.engine import DockerEngine

__all__ = ["DockerEngine"]
