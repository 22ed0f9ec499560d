"""ContainerEngine on Docker. No other package imports the Docker SDK, so its errors and words end here."""

from agent_worker.lean_imports import without

with without(
    "charset_normalizer"
):  # 3 MB for guessing how a text is encoded; without it that is UTF-8, as Docker writes
    from agent_worker.docker_engine.engine import DockerEngine

__all__ = ["DockerEngine"]
