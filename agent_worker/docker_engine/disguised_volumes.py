"""Named volumes whose options name a path of the machine: each is a bind that nobody has checked, which only the engine
can tell."""

from __future__ import annotations

from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.errors import GoneError
from gamekeeper.domain.language.volume import split_volume
from gamekeeper.errors import PolicyError
from gamekeeper.ports.container_engine import NewContainer


async def refuse_disguised(connection: EngineConnection, new: NewContainer) -> None:
    """Raises PolicyError."""
    names = {split_volume(text).source for text in new.spec.volumes}
    for name in sorted(name for name in names if name and not name.startswith("/")):
        try:
            found = await connection.call(connection.api.inspect_volume, name)
        except GoneError:
            continue
        options = found.get("Options") or {}
        device = str(options.get("device") or "")
        if device.startswith("/") or "bind" in str(options.get("o") or "").split(","):
            raise PolicyError(
                f"volume {name} is the host path {device} in disguise",
                hint=f"write {device or 'the path'} itself, and allow it in the node's policy",
            )
