"""The things that the containers of one run share on a node: its network, and its volume at /workspace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from docker.api.client import APIClient
from docker.errors import APIError

from agent_worker.docker_engine import workspace
from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.named_networks import ensure_one
from agent_worker.docker_engine.owner_labels import LABEL
from gamekeeper.errors import GamekeeperError


class RunResources:
    """Makes each once, and remembers that it did."""

    def __init__(self, node: str, connection: EngineConnection) -> None:
        self._node = node
        self._connection = connection
        self._call = connection.call
        self._prepared: set[str] = set()
        self._preparing = asyncio.Lock()

    @property
    def _api(self) -> APIClient:
        return self._connection.api

    def forget(self) -> None:
        """Looks at all of them again at their next use."""
        self._prepared.clear()

    async def ensure_network(self, name: str, run_id: str) -> None:
        await self._prepare(f"network {name}", self._make_network, name, run_id)

    async def ensure_volume(self, name: str, run_id: str) -> None:
        await self._prepare(f"volume {name}", self._make_volume, name, run_id)

    async def open_workspace(self, container_id: str, volume: str) -> None:
        await self._prepare(f"workspace {volume}", self._open, container_id, volume)

    async def _prepare(self, what: str, make: Callable[[str, str], None], *arguments: str) -> None:
        """Makes or opens it once a run: the first step does it, the others find it done."""
        async with self._preparing:
            if what not in self._prepared:
                await self._call(make, *arguments)
                self._prepared.add(what)

    def _make_network(self, name: str, run_id: str) -> None:
        ensure_one(self._api, name, lambda: self._make_new_network(name, run_id))

    def _make_new_network(self, name: str, run_id: str) -> None:
        try:
            self._api.create_network(name, driver="bridge", labels=self._labels(run_id), check_duplicate=True)
        except APIError as error:
            if error.status_code != 409:
                raise

    def _make_volume(self, name: str, run_id: str) -> None:
        self._api.create_volume(name, labels=self._labels(run_id))

    def _open(self, container_id: str, volume: str) -> None:
        workspace.open_to_all(self._api, container_id, volume)

    def _labels(self, run_id: str) -> dict[str, str]:
        return {f"{LABEL}node": self._node, f"{LABEL}run": run_id}

    async def list_runs(self) -> Sequence[str]:
        filters = {"label": f"{LABEL}node={self._node}"}
        networks = await self._call(self._api.networks, filters=filters)
        volumes = (await self._call(self._api.volumes, filters=filters)).get("Volumes") or []
        runs = {(item.get("Labels") or {}).get(f"{LABEL}run", "") for item in [*networks, *volumes]}
        return sorted(runs - {""})

    async def remove(self, run_id: str) -> None:
        """Docker refuses to remove a volume that any container has, but lets a network go from under one that is
        stopped or between two starts, which then never starts again."""
        name = f"gk-{run_id}"
        self._prepared.discard(f"workspace {name}")
        filters = {"label": [f"{LABEL}node={self._node}", f"{LABEL}run={run_id}"]}
        users = await self._call(self._api.containers, all=True, filters=filters)
        for item in users:
            if workspace.OPENS in item["Labels"]:  # an earlier agent was killed while it had it
                await self._call(self._api.remove_container, item["Id"], v=True)
        await self._remove_prepared(f"volume {name}", self._api.remove_volume, name)
        if all(workspace.OPENS in item["Labels"] for item in users):
            await self._remove_prepared(f"network {name}", self._api.remove_network, name)

    async def _remove_prepared(self, what: str, remove: Callable[[str], None], name: str) -> None:
        try:
            await self._call(remove, name)
        except GamekeeperError:
            return  # gone, or a container still uses it: the next round sees to it
        finally:
            self._prepared.discard(what)
