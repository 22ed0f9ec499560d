"""The answers to one container: what it costs the engine, and whose they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from agent_worker.docker_engine.owner_labels import owner_from_labels, owner_labels
from agent_worker.engine_socket.project import Project
from agent_worker.engine_socket.questions import RefusedError, read_question
from agent_worker.engine_socket.view import MAX_STREAMS, Filters, Json, View
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.ports.container_engine import Ownership
from tests.hang import HANG_SECONDS

NODE, GROUP = "n", "gk-g-lan"


def item(number: int, network: str, network_id: str = "") -> Json:
    """A container of an instance of its own, as the engine lists it."""
    owner = Ownership(InstanceKey(instance=f"i{number}", revision=1), NODE)
    networks = {network: {"NetworkID": network_id}}
    return {
        "Id": f"{number:064x}",
        "Names": [f"/other/alias{number}", f"/{owner.key.container_name}"],
        "Labels": owner_labels(owner),
        "State": "running",
        "HostConfig": {"NetworkMode": network},
        "NetworkSettings": {"Networks": networks},
    }


class FakeAsking:
    """An engine that notes what it is asked, and how many ask at a time."""

    def __init__(self, *items: Json) -> None:
        self.items = list(items)
        self.asked: list[str] = []
        self.now, self.most = 0, 0
        self.told: asyncio.Queue[Json] = asyncio.Queue()
        self.events_asked: list[Filters] = []

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1

    async def version(self) -> Json:
        await self._ask("version")
        return {"ApiVersion": "1.41"}

    async def info(self) -> Json:
        await self._ask("info")
        return {}

    async def containers(self, filters: Filters, *, everything: bool) -> list[Json]:
        await self._ask("containers")
        return [found for found in self.items if "id" not in filters or found["Id"] in filters["id"]]

    async def container(self, id_: str) -> Json | None:
        await self._ask("container")
        for found in self.items:
            if found["Id"] == id_:
                more = {"Name": found["Names"][-1], "Config": {"Labels": found["Labels"]}, "State": {}}
                return found | more
        return None

    async def networks(self, filters: Filters) -> list[Json]:
        await self._ask("networks")
        return [{"Id": "mine", "Name": GROUP}, {"Id": "another", "Name": GROUP}, {"Id": "x", "Name": "gk-new"}]

    async def events(self, filters: Filters, since: str | None, until: str | None) -> AsyncGenerator[Json, None]:
        self.events_asked.append(filters)
        await self._ask("events")
        yield {}
        while True:
            yield await self.told.get()

    def owner(self, labels: Mapping[str, str], name: str) -> Ownership | None:
        return owner_from_labels(dict(labels), name)


def view_of(asking: FakeAsking) -> View:
    return View(Project(NODE, instance="i1", groups=frozenset({GROUP})), asking)


async def ask(view: View, target: str) -> Any:
    return await asyncio.wait_for(view.answer(read_question("GET", target)), HANG_SECONDS)


async def test_an_id_in_full_is_asked_for_alone() -> None:
    asking = FakeAsking(item(1, "bridge"), item(2, GROUP), item(3, "bridge"))
    view = view_of(asking)
    for own in (1, 2):
        assert (await ask(view, f"/containers/{own:064x}/json"))["Id"] == f"{own:064x}"
    for other in (3, 4):
        with pytest.raises(RefusedError, match="No such container"):
            await ask(view, f"/containers/{other:064x}/json")
    assert set(asking.asked) == {"container"}
    assert (await ask(view, "/containers/gk-i-i2-1/json"))["Id"] == f"{2:064x}"
    with pytest.raises(RefusedError, match="No such container"):
        await ask(view, "/containers/gk-i-i3-1/json")
    with pytest.raises(RefusedError, match="No such container"):
        await ask(view, "/containers/alias1/json")


async def test_a_network_of_the_same_name_is_another_ones() -> None:
    asking = FakeAsking(item(1, GROUP, "mine"), item(2, GROUP, "mine"))
    assert [found["Id"] for found in await ask(view_of(asking), "/networks")] == ["mine"]
    asking.items.append(item(1, "gk-new"))
    assert [found["Id"] for found in await ask(view_of(asking), "/networks")] == ["mine", "x"]


async def test_streams_and_versions_wait_their_turn_too() -> None:
    asking = FakeAsking(item(1, "bridge"))
    view = view_of(asking)

    async def listen() -> None:
        async with aclosing(view.events(read_question("GET", "/events"))) as events:
            await anext(events)

    asks = [ask(view, target) for target in ("/containers/json", "/info", "/version")]
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(*asks, *[view.api_version() for _ in range(5)], *[listen() for _ in range(MAX_STREAMS)])
    assert asking.most == 1
    assert asking.asked.count("version") == 1


async def test_the_engine_sends_no_events_of_commands_inside() -> None:
    """Health checks alone make three of each."""
    asking = FakeAsking()
    for query in ("", '?filters={"label":["a"]}', '?filters={"event":["start"]}'):
        async with aclosing(view_of(asking).events(read_question("GET", f"/events{query}"))) as events:
            await anext(events)
    asked = [filters["event"] for filters in asking.events_asked]
    assert not any(name.startswith("exec") for names in asked for name in names)
    assert "health_status" in asked[0]
    assert asked[2] == ["start"]


def event(found: Json, action: str) -> Json:
    attributes = {"name": found["Names"][-1].lstrip("/"), "image": "i", **found["Labels"]}
    return {"Type": "container", "Action": action, "Actor": {"ID": found["Id"], "Attributes": attributes}}


async def test_events_of_a_group_are_told_until_their_container_is_gone() -> None:
    own, other, late = item(1, GROUP), item(3, "bridge"), item(2, GROUP)
    asking = FakeAsking(own, other)
    async with aclosing(view_of(asking).events(read_question("GET", "/events"))) as events:
        assert await anext(events) == {}
        asking.items.append(late)
        for found, action in ((other, "start"), (late, "start"), (late, "die"), (late, "destroy"), (late, "die")):
            asking.told.put_nowait(event(found, action))
        asking.told.put_nowait(event(own, "die"))
        told = [await asyncio.wait_for(anext(events), HANG_SECONDS) for _ in range(4)]
    assert [(found["Actor"]["ID"], found["Action"]) for found in told] == [
        (late["Id"], "start"),
        (late["Id"], "die"),
        (late["Id"], "destroy"),
        (own["Id"], "die"),
    ]
