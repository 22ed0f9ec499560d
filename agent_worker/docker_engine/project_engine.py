"""The engine as the sockets of projects ask it: by questions of the agent's own, in threads of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.errors import GoneError
from agent_worker.docker_engine.owner_labels import LABEL, owner_from_labels
from agent_worker.docker_engine.project_events import ProjectEvents
from agent_worker.engine_socket.view import Filters, Json
from gamekeeper.ports.container_engine import Ownership


class ProjectEngine:
    """Asking for all projects of one node."""

    def __init__(self, node: str, connection: EngineConnection) -> None:
        self._connection = connection
        self._call = connection.call_aside
        self._events = ProjectEvents(connection)
        self._of_node = f"{LABEL}node={node}"

    async def version(self) -> Json:
        return dict(await self._call(lambda: self._connection.api.version()))

    async def info(self) -> Json:
        return dict(await self._call(lambda: self._connection.api.info()))

    async def containers(self, filters: Filters, *, everything: bool) -> list[Json]:
        asked = self._of(filters)
        return list(await self._call(lambda: self._connection.api.containers(all=everything, filters=asked)))

    async def container(self, id_: str) -> Json | None:
        with suppress(GoneError):
            return dict(await self._call(lambda: self._connection.api.inspect_container(id_)))
        return None

    async def networks(self, filters: Filters) -> list[Json]:
        asked: Any = {name: list(values) for name, values in filters.items()}
        return list(await self._call(lambda: self._connection.api.networks(filters=asked)))

    def events(self, filters: Filters, since: str | None, until: str | None) -> AsyncGenerator[Json, None]:
        asked = self._of(filters) | {"type": ["container"]}
        return self._events.read({"since": since, "until": until, "filters": asked})

    def _of(self, filters: Filters) -> dict[str, list[str]]:
        found = {name: list(values) for name, values in filters.items()}
        return found | {"label": [*found.get("label", []), self._of_node]}

    def owner(self, labels: Mapping[str, str], name: str) -> Ownership | None:
        return owner_from_labels(dict(labels), name)
