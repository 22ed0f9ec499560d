"""The answers to one container's questions: what the engine tells of its project, without what is not shown."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Protocol

from agent_worker.engine_socket import shown
from agent_worker.engine_socket.project import Project, name_of, networks_of
from agent_worker.engine_socket.questions import Kind, Question, RefusedError
from gamekeeper.errors import GamekeeperError
from gamekeeper.ports.container_engine import Ownership

PACE_SECONDS = 0.05  # a container asks the engine no faster, whatever it does
PAUSE_FACTOR = 3  # and rests three times as long as an answer took, where that is longer
MAX_STREAMS = 4
GROUP_ACTIONS = ("create", "start")
_FULL_ID = re.compile("[0-9a-f]{64}")

Filters = Mapping[str, Sequence[str]]
Json = dict[str, Any]


class Asking(Protocol):
    """The engine, asked by the agent itself. All of it raises GamekeeperError."""

    async def version(self) -> Json:
        """The engine's words on its versions."""

    async def info(self) -> Json:
        """The engine's words on its machine."""

    async def containers(self, filters: Filters, *, everything: bool) -> list[Json]:
        """The containers of this node as the engine lists them."""

    async def container(self, id_: str) -> Json | None:
        """Any container in full; None for one that is gone."""

    async def networks(self, filters: Filters) -> list[Json]:
        """All networks that meet the filters."""

    def events(self, filters: Filters, since: str | None, until: str | None) -> AsyncGenerator[Json, None]:
        """The events of containers of this node; first an empty one, when they are heard."""

    def owner(self, labels: Mapping[str, str], name: str) -> Ownership | None:
        """The owner that the labels of a container of that name tell."""


class View:
    """Answering for the containers of ``project``. One question at a time goes to the engine, at a bounded pace."""

    def __init__(self, project: Project, asking: Asking) -> None:
        self._project = project
        self._asking = asking
        self._turn = asyncio.Lock()
        self._next_turn = 0.0
        self._streams = 0
        self._version: Json = {}

    async def api_version(self) -> str:
        with suppress(GamekeeperError):
            return str((await self._versions()).get("ApiVersion", ""))
        return ""

    async def _versions(self) -> Json:
        if not self._version:
            async with self._paced():
                self._version = self._version or shown.version(await self._asking.version())
        return self._version

    @asynccontextmanager
    async def _paced(self) -> AsyncIterator[None]:
        clock = asyncio.get_running_loop().time
        async with self._turn:
            await asyncio.sleep(max(0.0, self._next_turn - clock()))
            begun = clock()
            try:
                yield
            finally:
                self._next_turn = clock() + max(PACE_SECONDS, PAUSE_FACTOR * (clock() - begun))

    async def answer(self, question: Question) -> Any:
        if question.kind is Kind.PING:
            return "OK"
        if question.kind is Kind.VERSION:
            return await self._versions()
        async with self._paced():
            return await self._asked(question)

    async def _asked(self, question: Question) -> Any:
        if question.kind is Kind.INFO:
            states = [str(item.get("State", "")) for item in await self._own()]
            return shown.info(await self._asking.info(), self._project.node, states)
        if question.kind is Kind.CONTAINERS:
            found = await self._own(question.filters, everything=question.everything)
            return [shown.listed(item) for item in (found[: question.limit] if question.limit else found)]
        if question.kind is Kind.CONTAINER:
            return shown.inspected(await self._container(question.id))
        networks = [shown.network(found) for found in await self._networks(question.filters)]
        if question.kind is Kind.NETWORKS:
            return networks
        return _one(networks, question.id, f"network {question.id} not found")

    async def _own(self, filters: Filters | None = None, *, everything: bool = True) -> list[Json]:
        listed = await self._asking.containers(filters or {}, everything=everything)
        return [item for item in listed if self._has(item, name_of(item), item.get("Labels"))]

    def _has(self, told: Json, name: str, labels: Mapping[str, str] | None) -> bool:
        return self._project.has(name, self._asking.owner(labels or {}, name), networks_of(told))

    async def _container(self, id_: str) -> Json:
        """Another's is told as one that is not there."""
        words = f"No such container: {id_}"
        full = id_
        if not _FULL_ID.fullmatch(id_):
            full = _one([{"Id": item["Id"], "Name": name_of(item)} for item in await self._own()], id_, words)["Id"]
        found = await self._asking.container(full)
        if found is None or not self._has(found, found["Name"].lstrip("/"), found["Config"].get("Labels")):
            raise RefusedError(404, words)
        return found

    async def _networks(self, filters: Filters) -> list[Json]:
        """Networks of the same name may be others': those of containers that have run are known by their ids."""
        ids: set[str] = set()
        names: set[str] = set()
        for item in await self._own():
            there = (item.get("NetworkSettings") or {}).get("Networks") or {}
            found = {name: (there.get(name) or {}).get("NetworkID", "") for name in networks_of(item)}
            ids.update(found.values())
            names.update(name for name, id_ in found.items() if not id_)
        listed = await self._asking.networks(filters)
        return [found for found in listed if found.get("Id") in ids or found.get("Name") in names]

    async def events(self, question: Question) -> AsyncGenerator[Any, None]:
        if self._streams >= MAX_STREAMS:
            raise RefusedError(429, f"{MAX_STREAMS} streams of events are open already")
        self._streams += 1
        try:
            asked = {"event": sorted(shown.ACTIONS), **question.filters}  # all others cost reading alone
            async with aclosing(self._asking.events(asked, question.since, question.until)) as told:
                async with self._paced():
                    first = await anext(told)
                    known = {item["Id"] for item in await self._own()}
                yield first
                async for found in told:
                    event = shown.event(found)
                    if event is not None and await self._is_own(found, known):
                        yield event
        finally:
            self._streams -= 1

    async def _is_own(self, event: Json, known: set[str]) -> bool:
        """An event tells no networks, by which a container is of the group."""
        id_, attributes = event["Actor"]["ID"], event["Actor"].get("Attributes") or {}
        if event.get("Action") == "destroy" and id_ in known:
            known.remove(id_)
            return True
        name = str(attributes.get("name", ""))
        if id_ in known or self._project.has(name, self._asking.owner(attributes, name)):
            known.add(id_)
        elif self._project.groups and event.get("Action") in GROUP_ACTIONS:
            async with self._turn:
                known.update(item["Id"] for item in await self._own({"id": [id_]}))
        return id_ in known


def _one(items: Sequence[Json], id_: str, words: str) -> Json:
    """The one of that id or name, or the only one whose id begins so. Raises RefusedError."""
    exact = [item for item in items if id_ in (item["Id"], item["Name"])]
    found = exact or [item for item in items if str(item["Id"]).startswith(id_)]
    if len(found) != 1:
        raise RefusedError(404, words)
    return found[0]
