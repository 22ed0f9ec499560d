"""The answers to one container's questions: what the engine tells of its project, without what is not shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol

from agent_worker.engine_socket import shown
from agent_worker.engine_socket.project import Project
from agent_worker.engine_socket.questions import Kind, Question, RefusedError
from gamekeeper.errors import GamekeeperError
from gamekeeper.ports.container_engine import Ownership

PACE_SECONDS = 0.05  # a container asks the engine no faster, whatever it does
MAX_STREAMS = 4
GROUP_ACTIONS = ("create", "start")

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
        """One of them in full; None for one that is gone."""

    async def networks(self, filters: Filters) -> list[Json]:
        """All networks that meet the filters."""

    def events(self, filters: Filters, since: str | None, until: str | None) -> AsyncGenerator[Json, None]:
        """The events of containers of this node; first an empty one, when they are heard."""

    def owner(self, labels: Mapping[str, str]) -> Ownership | None:
        """The owner that labels name."""


class View:
    """Answering for the containers of ``project``. One question at a time goes to the engine, at a bounded pace."""

    def __init__(self, project: Project, asking: Asking) -> None:
        self._project = project
        self._asking = asking
        self._turn = asyncio.Lock()
        self._streams = 0
        self._version: Json = {}

    async def api_version(self) -> str:
        with suppress(GamekeeperError):
            return str((await self._versions()).get("ApiVersion", ""))
        return ""

    async def _versions(self) -> Json:
        self._version = self._version or shown.version(await self._asking.version())
        return self._version

    async def answer(self, question: Question) -> Any:
        if question.kind is Kind.PING:
            return "OK"
        if question.kind is Kind.VERSION:
            return await self._versions()
        async with self._turn:
            try:
                return await self._asked(question)
            finally:
                await asyncio.sleep(PACE_SECONDS)

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
        return [item for item in listed if self._has(item)]

    def _has(self, item: Json) -> bool:
        names = [name for name in item.get("Names") or [] if name.count("/") == 1]  # others are links
        owner = self._asking.owner(item.get("Labels") or {})
        return any(self._project.has(name.lstrip("/"), owner, networks_of(item)) for name in names)

    async def _container(self, id_: str) -> Json:
        """Another's is told as one that is not there."""
        words = f"No such container: {id_}"
        items = [{"Id": item["Id"], "Name": item["Names"][0].lstrip("/")} for item in await self._own()]
        found = await self._asking.container(_one(items, id_, words)["Id"])
        if found is None:
            raise RefusedError(404, words)
        return found

    async def _networks(self, filters: Filters) -> list[Json]:
        own = {name for item in await self._own() for name in networks_of(item)}
        return [found for found in await self._asking.networks(filters) if found.get("Name") in own]

    async def events(self, question: Question) -> AsyncGenerator[Any, None]:
        if self._streams >= MAX_STREAMS:
            raise RefusedError(429, f"{MAX_STREAMS} streams of events are open already")
        self._streams += 1
        try:
            known = {item["Id"] for item in await self._own()}
            async with aclosing(self._asking.events(question.filters, question.since, question.until)) as told:
                async for found in told:
                    if not found:
                        yield found
                        continue
                    event = shown.event(found)
                    if event is not None and await self._is_own(found, known):
                        yield event
        finally:
            self._streams -= 1

    async def _is_own(self, event: Json, known: set[str]) -> bool:
        """An event tells no networks, by which a container is of the group."""
        id_, attributes = event["Actor"]["ID"], event["Actor"].get("Attributes") or {}
        if id_ in known or self._project.has(str(attributes.get("name", "")), self._asking.owner(attributes)):
            known.add(id_)
        elif self._project.groups and event.get("Action") in GROUP_ACTIONS:
            known.update(item["Id"] for item in await self._own({"id": [id_]}))
        return id_ in known


def networks_of(item: Json) -> frozenset[str]:
    """The networks of a container as the engine lists it; one that has never run has the one that it was made for."""
    there = (item.get("NetworkSettings") or {}).get("Networks") or {}
    return frozenset([*there, (item.get("HostConfig") or {}).get("NetworkMode", "")])


def _one(items: Sequence[Json], id_: str, words: str) -> Json:
    """The one of that id or name, or the only one whose id begins so. Raises RefusedError."""
    exact = [item for item in items if id_ in (item["Id"], item["Name"])]
    found = exact or [item for item in items if str(item["Id"]).startswith(id_)]
    if len(found) != 1:
        raise RefusedError(404, words)
    return found[0]
