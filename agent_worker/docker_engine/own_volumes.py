"""The volumes of instances and of pipelines, which live longer than any of their containers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.errors import GoneError
from agent_worker.docker_engine.owner_labels import LABEL
from gamekeeper.errors import InvalidError
from gamekeeper.ports.container_engine import EngineFaultError, volume_of_another

PIPELINE = f"{LABEL}pipeline"


class OwnVolumes:
    """A label names the instance or the pipeline whose they are."""

    def __init__(self, node: str, connection: EngineConnection) -> None:
        self._node = node
        self._connection = connection

    async def ensure(self, name: str, instance: str) -> None:
        labels = {f"{LABEL}node": self._node, f"{LABEL}instance": instance}
        await self._connection.call(self._connection.api.create_volume, name, labels=labels)

    async def claim(self, names: Iterable[str], pipeline: str) -> None:
        """Makes what is missing. One without a label is of the time before those, and goes on as it was.

        Raises InvalidError for one of another pipeline: the name ``gk-p-a-b-data`` is that of two.
        """
        labels = {f"{LABEL}node": self._node, PIPELINE: pipeline}
        for name in names:
            found = await self._connection.call(self._connection.api.create_volume, name, labels=labels)
            owner = (found.get("Labels") or {}).get(PIPELINE, pipeline)
            if owner != pipeline:
                raise volume_of_another(name, owner)

    async def remove(self, instance: str, names: Iterable[str]) -> Mapping[str, str]:
        """Those that stay, each with why."""
        api, call = self._connection.api, self._connection.call
        filters = {"label": [f"{LABEL}node={self._node}", f"{LABEL}instance={instance}"]}
        found = (await call(api.volumes, filters=filters)).get("Volumes") or []
        stay = {}
        for name in sorted({*names, *(volume["Name"] for volume in found)}):
            try:
                await call(api.remove_volume, name)
            except GoneError:
                continue
            except (InvalidError, EngineFaultError) as error:
                stay[name] = await self._holders(name) or str(error)
        return stay

    async def _holders(self, volume: str) -> str:
        """Words on the containers that have a volume; empty where none has it."""
        found = await self._connection.call(self._connection.api.containers, all=True, filters={"volume": volume})
        names = sorted(item["Names"][0].lstrip("/") for item in found if item.get("Names"))
        return f"container {', '.join(names)} has it" if names else ""
