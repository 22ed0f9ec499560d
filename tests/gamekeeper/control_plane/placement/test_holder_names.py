"""Whoever holds a port, a GPU or a place is named to those alone who may see them. On SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from gamekeeper.control_plane.placement.holder_names import holder_names
from gamekeeper.control_plane.placement.instance import place_instance
from gamekeeper.control_plane.placement.step_room import SqlRoomStore
from gamekeeper.db.engine import Database
from gamekeeper.db.models import ApiKeyRow, InstanceRow, NodeRow, RunRow
from gamekeeper.db.repositories.reservation import Owner, ReservationRepository
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.bounds import NO_BOUNDS, NOTHING, Bounds, sight_bounds
from gamekeeper.domain.access.grant import Grant
from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.node.demand import Where
from gamekeeper.domain.run.step_room import RoomRequest, room_of
from gamekeeper.errors import ConflictError
from tests.factories import make_container
from tests.gamekeeper.db.test_scope import KEYS

WEB = make_container(ports=["8080:80"])


@pytest.fixture
async def fleet(database: Database) -> Database:
    """A node; instances of two teams; runs of an admin's key and of a guest's."""
    async with database.write() as session:
        session.add(NodeRow(id="n1", name="n1", status="online", capacity={"cpus": 4}))
        session.add_all([InstanceRow(id=id_, node_id="n1", labels={"team": id_}) for id_ in ("blue", "red")])
        session.add_all([ApiKeyRow(id=role, name=role, role=role) for role in ("admin", "guest")])
        session.add_all([RunRow(id=f"r-{role}", pipeline=role, owner=f"key:{role}") for role in ("admin", "guest")])
    return database


def sees(*selectors: Selector) -> Bounds:
    return sight_bounds(Access("key:x", tuple(Grant(frozenset({Verb.SEE}), selector) for selector in selectors)))


async def place_web(database: Database, id_: str, sight: Bounds) -> str:
    """The reason why there is no place for it; empty where there is."""
    try:
        async with database.write() as session:
            await place_instance(session, id_, InstanceSpec(container=WEB), Where(node="n1", sight=sight))
    except ConflictError as error:
        return error.message.partition("taken by ")[2]
    return ""


async def test_an_instance_is_named_to_who_sees_it(fleet: Database) -> None:
    assert await place_web(fleet, "red", NOTHING) == ""
    of_red = Selector(ObjectKind.INSTANCE, labels=(("team", "red"),))
    of_blue = Selector(ObjectKind.INSTANCE, ids=("blue",))
    of_runs = Selector(ObjectKind.PIPELINE)
    for sight, words in (
        (NO_BOUNDS, "instance red"),
        (sees(of_red), "instance red"),
        (sees(of_blue, of_runs), "another instance"),
        (NOTHING, "another instance"),
    ):
        assert await place_web(fleet, "blue", sight) == words


async def test_a_step_hears_what_the_owner_of_its_run_may_hear(fleet: Database) -> None:
    assert await place_web(fleet, "red", NOTHING) == ""
    for run_id, words in (("r-admin", "instance red"), ("r-guest", "another instance"), ("r-gone", "another instance")):
        asked = room_of(StepKey(run_id=run_id, step="a", try_=1), "n1", WEB)
        (answer,) = await SqlRoomStore(fleet).take(RoomRequest(asked=[asked]))
        assert answer.why == f"node n1: port 8080/tcp is taken by {words}"


async def test_steps_are_named_by_their_runs(fleet: Database) -> None:
    holders = [Owner("step", "r-admin/a/1"), Owner("step", "r-guest/a/1"), Owner("step", "r-gone/a/1")]
    async with fleet.read() as session:
        names = await holder_names(session, holders, sees(Selector(ObjectKind.PIPELINE, ids=("guest",))))
    assert [names[holder] for holder in holders] == ["a step of a run", "step r-guest/a/1", "a step of a run"]


async def test_neighbours_are_found_by_whatever_label(database: Database) -> None:
    """SQLite and PostgreSQL find the same, whatever characters a key is made of."""
    async with database.write() as session:
        session.add(NodeRow(id="n1", name="n1"))
        session.add_all(
            [InstanceRow(id=f"i{number}", node_id="n1", labels={key: "a"}) for number, key in enumerate(KEYS)]
        )
    for number, key in enumerate(KEYS):
        async with database.read() as session:
            found = await ReservationRepository(session).instances("", {key: "a"})
        assert [each.owner for each in found.get("n1", [])] == [f"instance i{number}"], key
