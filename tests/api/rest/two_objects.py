"""Two of everything, of which somebody may reach but one, and requests to every route that names an object or lists
some. Names of the first hold ``mine``, those of the second ``others``, and nothing else holds either."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass

from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import iter_route_contexts

from api.needs import Judged, Needs, needs_of_routes
from gamekeeper.db.event_log import record
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow, RunRow, StepRow
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.guests import Guest, a_guest
from tests.fixtures.websocket import websocket

PREFIX = "/api/v1"
CONTAINER = {"image": "debian:12"}
KINDS = (ObjectKind.NODE, ObjectKind.PIPELINE, ObjectKind.INSTANCE)
# The parameters that name an object, the others of paths with one, and what a route must not get to see for real.
OBJECTS = ("node_id", "instance_id", "run_id", "schedule", "name")
PARTS = {"step": "hello", "step_name": "hello", "version": "1", "revision": "1"}
UNFIT_QUERIES = {("DELETE", "/instances/{instance_id}"): {"volumes": "perhaps"}}  # a removal is the workflow's
UNFIT_BODY = {"no_such_field": True}  # a body is looked at behind the guard, so this tells whether that let in
LIST_BODIES = {("POST", "/placement/try"): {"id": "new", "container": CONTAINER, "node": {"labels": {}}}}


@dataclass(frozen=True)
class Answer:
    """``status`` of a WebSocket is the code of its close, less 4000."""

    status: int
    text: str

    @property
    def words(self) -> str:
        """The detail of a problem; of a WebSocket the reason of its close."""
        return str(json.loads(self.text)["detail"]) if self.text.startswith("{") else self.text

    @property
    def is_refused(self) -> bool:
        return self.status in (401, 403)


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    need: Needs
    follows: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, names: dict[str, str]) -> str:
        """The path with the names of one object filled in. Raises LookupError for a parameter that is new here."""
        return re.sub(r"\{([^}]+)\}", lambda found: (names | PARTS)[found[1]], self.path)

    @property
    def of_parts(self) -> bool:
        """True where ``name`` is that of an instance's schedule."""
        return "{instance_id}" in self.path

    async def ask(self, api: ApiUnderTest, guest: Guest, names: dict[str, str], **query: str) -> Answer:
        names = names | {"name": "nightly"} if self.of_parts else names
        path = self.at(names)
        if self.method == "WS":
            words = [("command", "true")] if path.endswith("/exec") else []
            async with websocket(api.process.app, PREFIX + path, words, guest.secret) as socket:
                closed = await socket.receive()
            assert isinstance(closed, tuple), closed
            return Answer(closed[0] - 4000, closed[1])
        key = (self.method, self.path)
        body = None if self.method in ("GET", "DELETE") else LIST_BODIES.get(key, UNFIT_BODY)
        answer = await guest.http.request(self.method, path, json=body, params=query | UNFIT_QUERIES.get(key, {}))
        return Answer(answer.status_code, answer.text)


def routes(api: ApiUnderTest, *judged: Judged) -> list[Route]:
    """Those of nodes, pipelines and instances; what removes an object comes last."""
    follows = {
        str(route.path)
        for route in iter_route_contexts(api.process.app.routes)
        if str(route.path).startswith(PREFIX)
        and any(field.alias == "follow" for field in get_flat_params(route.dependant))
    }
    found = [
        Route(method, path.removeprefix(PREFIX), need, path in follows and method == "GET")
        for method, path, need in needs_of_routes(api.process.app)
        if need.verb is not None and need.on is not ObjectKind.SERVER and need.judged in judged
    ]
    return sorted(found, key=lambda route: route.method == "DELETE")


@dataclass(frozen=True)
class World:
    """The names of the first, of the second, and of none."""

    first: dict[str, str]
    second: dict[str, str]
    nobody: dict[str, str]

    def same(self, answer: Answer, names: dict[str, str], other: Answer) -> bool:
        """True where both answers are one but for the name that was asked for."""
        text = answer.text
        for parameter in sorted(OBJECTS, key=lambda each: -len(names[each])):
            text = text.replace(names[parameter], self.nobody[parameter])
        return (answer.status, text) == (other.status, other.text)


def _names(word: str, mark: str) -> dict[str, str]:
    named = f"{word}-{mark}"
    return {
        "node_id": f"{named}-n",
        "instance_id": f"{named}-i",
        "run_id": f"{named}-r",
        "name": f"{named}-p",
        "schedule": f"{named}-p-0",
    }


async def make_world(api: ApiUnderTest) -> World:
    mark = uuid.uuid4().hex[:6]  # the tests share one Temporal server, which has the schedules
    world = World(*(_names(word, mark) for word in ("mine", "others", "nobody")))
    for names in (world.first, world.second):
        await _make(api, names)
    return world


async def _make(api: ApiUnderTest, names: dict[str, str]) -> None:
    node, instance, run, pipeline = (names[each] for each in ("node_id", "instance_id", "run_id", "name"))
    await api.add_node(node)
    step = {"name": "hello", "node": node, "container": CONTAINER}
    spec = {"version": 1, "name": pipeline, "steps": [step], "schedule": [{"cron": "0 5 1 1 *"}]}
    assert (await api.http.post("/pipelines", json={"spec": spec})).status_code == 201
    applied = await api.http.put(f"/pipelines/{pipeline}/schedules", json={})
    assert [item["id"] for item in applied.json()["items"]] == [names["schedule"]], applied.text
    async with api.database.write() as session:
        session.add(InstanceRow(id=instance, name=instance, node_id=node, state="stopped", started_workflow=True))
        session.add(RunRow(id=run, pipeline=pipeline, state="succeeded"))
        session.add(RunRow(id=f"{run}-2", pipeline=pipeline, state="running", concurrency_group=f"{run}-group"))
        await session.flush()
        session.add(InstanceRevisionRow(instance_id=instance, revision=1, spec={"container": CONTAINER}))
        session.add(StepRow(run_id=run, name="hello", node_id=node, state="succeeded"))
        record(session, Event(kind=EventKind.INSTANCE_READY, instance=instance, node=node))
        record(session, Event(kind=EventKind.RUN_QUEUED, run=run))


class Guests:
    """Guests by the verbs that they have on the first of a kind, and on nothing else."""

    def __init__(self, api: ApiUnderTest, world: World) -> None:
        self._api = api
        self._world = world
        self._made: dict[object, Guest] = {}

    async def with_verbs(self, verbs: set[Verb], *kinds: ObjectKind) -> Guest:
        key = frozenset(verbs), kinds
        if key not in self._made:
            guest = self._made[key] = await a_guest(self._api, f"guest-{len(self._made)}")
            ids = {ObjectKind.NODE: "node_id", ObjectKind.PIPELINE: "name", ObjectKind.INSTANCE: "instance_id"}
            for kind in kinds:
                await guest.may(*(verb.value for verb in verbs), kind=kind.value, ids=[self._world.first[ids[kind]]])
        return self._made[key]

    async def of(self, route: Route) -> Guest:
        """One that has what the route needs and no more."""
        assert route.need.verb is not None
        return await self.with_verbs({route.need.verb}, *_kinds(route))

    async def without(self, route: Route) -> Guest:
        """One that has everything but what the route needs."""
        assert route.need.verb is not None
        return await self.with_verbs(set(Verb) - {route.need.verb}, *_kinds(route))


def _kinds(route: Route) -> tuple[ObjectKind, ...]:
    return KINDS if route.need.on is None else (route.need.on,)
