"""The sockets that containers of this node have in the place of the engine's, each served for as long as it is held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.mount_config import is_engine_socket_mount
from agent_worker.docker_engine.owner_labels import owner_from_labels
from agent_worker.docker_engine.project_engine import ProjectEngine
from agent_worker.engine_socket.project import Project, name_of, networks_of, project_of
from agent_worker.engine_socket.server import SocketServer
from agent_worker.engine_socket.view import View
from agent_worker.mounts.held_folders import HeldFolders
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger

log = get_logger(__name__)


class EngineSockets:
    """By the names of the containers."""

    def __init__(self, node: str, connection: EngineConnection, held: HeldFolders) -> None:
        self._asking = ProjectEngine(node, connection)
        self._held = held
        self._servers: dict[str, SocketServer] = {}

    async def open(self, name: str, project: Project) -> None:
        """Puts a new socket in the place of the one before, also in a container that runs. Raises InvalidError."""
        listening = await self._held.listen(name)
        self.close(name)
        server = self._servers[name] = SocketServer(View(project, self._asking))
        server.start(listening)

    def close(self, name: str) -> None:
        if (server := self._servers.pop(name, None)) is not None:
            server.close()

    def close_all(self) -> None:
        for name in list(self._servers):
            self.close(name)

    async def take_up(self, item: Mapping[str, Any]) -> None:
        """Goes on with the socket of a container that runs, as the engine lists it: an earlier agent has served it."""
        name = name_of(item)
        owner = owner_from_labels(dict(item["Labels"]), name)
        if owner is None or owner.key.container_name != name or name in self._servers:
            return
        if item["State"] != "running" or not any(map(is_engine_socket_mount, item.get("Mounts") or [])):
            return
        try:
            await self.open(name, project_of(owner, networks_of(item)))
            log.info("the engine socket of %s is served again", name)
        except GamekeeperError as error:  # the others are taken up all the same
            log.warning("the engine socket of %s is not served: %s", name, error)
