"""Tries of steps and instances share the room of a node, and never exceed it. On SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event

from gamekeeper.control_plane.placement.instance import place_instance, release_instance, settle_instance
from gamekeeper.control_plane.placement.step_room import SqlRoomStore
from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow, PortReservationRow, RunRow
from gamekeeper.db.repositories.reservation import ReservationRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.db.repositories.step_room import StepRoomRepository
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.node.demand import Where
from gamekeeper.domain.node.placement import Use
from gamekeeper.domain.run.run import RunSnapshot, RunState
from gamekeeper.domain.run.step_room import RoomAnswer, RoomRelease, RoomRequest, StepRoom, room_of
from gamekeeper.errors import ConflictError
from tests.factories import make_container

GIB = 2**30
LITTLE = 128 * 2**20


@pytest.fixture
async def node(database: Database) -> Database:
    """``n1`` has 4 CPUs, 8 GiB and a GPU, as its machine says."""
    async with database.write() as session:
        session.add(
            NodeRow(
                id="n1",
                name="n1",
                status="online",
                capacity={"cpus": 4, "memory_bytes": 8 * GIB, "gpus": 1},
                policy={"devices": ["gpu"]},
                inventory={"gpus": [{"name": "NVIDIA L4"}]},
            )
        )
    return database


def key(run: str, number: int = 1) -> StepKey:
    return StepKey(run_id=run, step="build", try_=number)


def room(run: str, cpus: str | None = None, number: int = 1, memory: str | None = None, **fields: Any) -> StepRoom:
    limits = {name: value for name, value in (("cpus", cpus), ("memory", memory)) if value}
    container = make_container(deploy={"resources": {"limits": limits}}, **fields)
    return room_of(key(run, number), "n1", container)


def release(*runs: str) -> list[RoomRelease]:
    return [RoomRelease(key=key(run), node="n1") for run in runs]


async def take(database: Database, *asked: StepRoom, **fields: Any) -> list[RoomAnswer]:
    return await SqlRoomStore(database).take(RoomRequest(asked=list(asked), **fields))


async def why(database: Database, what: StepRoom, **fields: Any) -> str:
    (answer,) = await take(database, what, **fields)
    return ("never " if answer.never else "") + answer.why


async def used(database: Database) -> Use:
    async with database.read() as session:
        return (await ReservationRepository(session).used()).get("n1", Use())


async def edit(database: Database, **fields: Any) -> None:
    async with database.write() as session:
        row = await session.get_one(NodeRow, "n1")
        for name, value in fields.items():
            setattr(row, name, value)


async def test_room_is_promised_and_given_back_once(node: Database) -> None:
    assert await why(node, room("a", "3", ports=["8080:80"])) == ""
    assert await used(node) == Use(3.0, LITTLE)
    assert await why(node, room("b", "2")) == "node n1: 1 of 4 CPUs is free, 2 are asked for"
    for _ in range(2):
        assert await why(node, room("b", "2"), released=release("a")) == ""
    assert await used(node) == Use(2.0, LITTLE)
    async with node.read() as session:
        assert await ReservationRepository(session).ports(["n1"]) == {}


async def test_the_same_try_is_granted_again_and_takes_nothing_more(node: Database) -> None:
    for _ in range(3):
        assert await why(node, room("a", "4")) == ""
    assert await used(node) == Use(4.0, LITTLE)


async def test_several_at_once_are_answered_in_their_order(node: Database) -> None:
    answers = await take(node, room("a", "3"), room("b", "2"), room("c", "1"))
    assert [answer.is_granted for answer in answers] == [True, False, True]


async def test_a_further_try_takes_the_place_of_the_one_before(node: Database) -> None:
    assert await why(node, room("a", "4")) == ""
    assert await why(node, room("a", "4", number=2), released=release("a")) == ""
    assert await used(node) == Use(4.0, LITTLE)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cpus": "5"}, "never node n1: 4 of 4 CPUs are free, 5 are asked for"),
        ({"memory": "9g"}, "never node n1: 8.0 GiB of 8.0 GiB of memory are free, 9.0 GiB are asked for"),
        ({"gpus": [{"count": 2}]}, "never node n1: 1 of 1 GPUs is free, 2 are asked for"),
        ({"memory": "8g"}, "node n1: 6.0 GiB of 8.0 GiB of memory are free, 8.0 GiB are asked for"),
        ({"gpus": "all"}, "node n1: 0 of 1 GPUs are free, all are asked for"),
        ({"ports": ["8080:81"]}, "node n1: port 8080/tcp is taken by a step of a run"),
        ({"ports": ["0:81", "8080:80/udp"]}, ""),
        ({"ports": ["8080:81"], "network_mode": "host"}, ""),
    ],
)
async def test_a_try_without_room_is_told_why(node: Database, fields: dict[str, Any], words: str) -> None:
    assert await why(node, room("other", "1", memory="2g", gpus="all", ports=["8080:80"])) == ""
    assert await why(node, room("a", **fields)) == words


async def test_what_states_nothing_counts_and_waits_for_nothing(node: Database) -> None:
    assert await why(node, room("a", "4")) == ""
    assert await why(node, room("b", memory="1g")) == ""
    assert (await used(node)).cpus == pytest.approx(4.1)
    await edit(node, capacity_override={"cpus": 4})
    assert await why(node, room("c")) == "node n1: 0 of 4 CPUs are free, 0.1 are asked for"


async def test_steps_and_instances_count_on_the_same_room(node: Database) -> None:
    assert await why(node, room("a", "3", ports=["8080:80"])) == ""
    wide, port = (InstanceSpec(container=make_container(**what)) for what in (CPUS, {"ports": ["8080:1"]}))
    for spec, words in ((wide, "1 of 4 CPUs is free"), (port, "port 8080/tcp is taken by a step of a run")):
        with pytest.raises(ConflictError, match=words):
            async with node.write() as session:
                await place_instance(session, "arena", spec, Where(node="n1"))
    async with node.write() as session:
        await place_instance(
            session, "arena", InstanceSpec(container=make_container(ports=["9000:1"])), Where(node="n1")
        )
    assert await why(node, room("b", ports=["9000:1"])) == "node n1: port 9000/tcp is taken by another instance"


CPUS = {"deploy": {"resources": {"limits": {"cpus": "2"}}}}


async def test_nothing_waits_for_what_its_own_run_keeps(node: Database) -> None:
    assert await why(node, room("a", "3")) == ""
    words = "never node n1: 1 of 4 CPUs is free, 2 are asked for; the services of this run keep the rest"
    assert await why(node, room("b", "2"), kept=[key("a")]) == words


async def test_a_node_that_nobody_knows_bounds_nothing(node: Database) -> None:
    await edit(node, capacity={}, inventory={})
    assert await why(node, room("a", "100", gpus="all")) == ""
    away = room("b", "100").model_copy(update={"node": "n9"})
    assert await why(node, away) == ""
    await edit(node, inventory={"gpus": 7})
    assert await why(node, room("c", "100")) == ""


@pytest.mark.parametrize("fields", [{"cpus": "4"}, {"gpus": "all"}, {"ports": ["27015:27015/udp"]}])
async def test_of_two_hundred_for_one_slot_one_holds_it_at_any_time(
    node: Database, database_url: str, fields: dict[str, Any]
) -> None:
    """By two processes at once, each with a database object of its own. Who has it gives it to the next."""
    another = Database(database_url)
    holders: list[str] = []
    turns: list[str] = []

    async def attempt(number: int) -> None:
        database, run = (node, another)[number % 2], f"r{number}"
        if not await why(database, room(run, **fields)):
            holders.append(run)
            turns.append(run)
            assert len(holders) == 1
            await asyncio.sleep(0)
            holders.remove(run)
            await take(database, released=release(run))

    await asyncio.gather(*[attempt(number) for number in range(200)])
    await another.close()
    assert turns
    assert await used(node) == Use()
    async with node.read() as session:
        assert await session.get(PortReservationRow, ("n1", "udp", 27015)) is None


async def test_many_at_once_share_the_room_without_exceeding_it(node: Database) -> None:
    answers = await asyncio.gather(*[take(node, room(f"r{number}", "1.5")) for number in range(40)])
    assert sum(answer.is_granted for (answer,) in answers) == 2
    assert await used(node) == Use(3.0, 2 * LITTLE)


async def snapshot(database: Database, version: int, state: RunState = RunState.RUNNING, **fields: Any) -> None:
    async with database.write() as session:
        await RunRepository(session).apply(RunSnapshot(run_id="a", version=version, state=state, **fields))


@pytest.fixture
async def run(node: Database) -> Database:
    async with node.write() as session:
        session.add(RunRow(id="a", pipeline="p"))
    return node


async def test_a_state_notes_and_gives_back_in_its_own_transaction(run: Database) -> None:
    for _ in range(2):
        await snapshot(run, 1, noted=[room("a")])
    assert await used(run) == Use(0.1, LITTLE)
    await snapshot(run, 2, released=release("a"))
    await snapshot(run, 1, noted=[room("a")])  # an older one that comes late
    assert await used(run) == Use()


async def test_a_state_of_many_steps_is_as_many_statements_as_one_of_few(run: Database) -> None:
    """Steps that state nothing wait for nothing, so that they are counted may cost next to nothing."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    names = [f"s{index}" for index in range(100)]
    rooms = [room("a").model_copy(update={"key": StepKey(run_id="a", step=name, try_=1)}) for name in names]
    over = [RoomRelease(key=each.key, node="n1") for each in rooms]
    event.listen(run._engine.sync_engine, "before_cursor_execute", note)
    await snapshot(run, 1, noted=rooms)
    assert (await used(run)).memory_bytes == 100 * LITTLE
    await snapshot(run, 2, released=over)
    assert await used(run) == Use()
    assert [text.split()[0] for text in statements if "reservations" in text and "SELECT" not in text] == [
        "INSERT",
        "DELETE",
        "DELETE",
    ]


async def test_the_end_of_a_run_gives_all_back(run: Database) -> None:
    await take(run, room("a", "3", ports=["80:80"]), room("b", "1"))
    await snapshot(run, 1, RunState.FAILED)
    assert await used(run) == Use(1.0, LITTLE)
    async with run.read() as session:
        assert await ReservationRepository(session).ports(["n1"]) == {}


async def test_what_comes_after_the_end_is_found(run: Database) -> None:
    await take(run, room("a", "1"), room("gone", "1"))
    async with run.read() as session:
        assert await StepRoomRepository(session).ended_holders() == ["gone"]
    await snapshot(run, 1, RunState.CANCELED)
    await take(run, room("a", "1"))
    async with run.write() as session:
        rooms = StepRoomRepository(session)
        assert sorted(await rooms.ended_holders()) == ["a", "gone"]
        for run_id in await rooms.ended_holders():
            await rooms.release_run(run_id)
    assert await used(run) == Use()


GPUS = [{"uuid": f"GPU-{letter}{letter}", "vendor": "nvidia"} for letter in "abc"]


async def test_no_two_holders_share_a_gpu(node: Database) -> None:
    await edit(node, inventory={"gpus": GPUS}, capacity={"gpus": 3})
    one, two = (make_container(gpus=[{"count": count}]) for count in (1, 2))
    (first,) = await take(node, room_of(key("a"), "n1", one))
    assert (first.gpus, first.gpu_vendor) == (["GPU-aa"], "nvidia")
    async with node.write() as session:
        placed = await place_instance(session, "arena", InstanceSpec(container=one), Where(node="n1"))
    assert [each.device_ids for each in placed.spec.container.device_requests] == [["GPU-bb"]]
    assert await why(node, room_of(key("b"), "n1", two)) == "node n1: 1 of 3 GPUs is free, 2 are asked for"
    named = make_container(gpus=[{"device_ids": ["1"]}])
    assert await why(node, room_of(key("b"), "n1", named)) == "node n1: GPU GPU-bb is taken by another instance"
    (again,) = await take(node, room_of(key("a"), "n1", one))
    (second,) = await take(node, room_of(key("b"), "n1", two), released=release("a"))
    assert (again.gpus, second.gpus) == (["GPU-aa"], ["GPU-aa", "GPU-cc"])
    assert second.given_to(two).device_requests[0].device_ids == ["GPU-aa", "GPU-cc"]


async def test_an_instance_keeps_its_gpu_and_gives_it_back_once(node: Database) -> None:
    await edit(node, inventory={"gpus": GPUS}, capacity={"gpus": 3})
    one = InstanceSpec(container=make_container(gpus=[{"count": 1}]))

    async def place(id_: str, spec: InstanceSpec = one) -> InstanceSpec:
        async with node.write() as session:
            return (await place_instance(session, id_, spec, Where(node="n1"))).spec

    async def gpus() -> dict[str, str]:
        async with node.read() as session:
            return {
                gpu: who.id for gpu, who in (await ReservationRepository(session).gpus(["n1"])).get("n1", {}).items()
            }

    first, second = await place("a"), await place("b")
    assert await gpus() == {"GPU-aa": "a", "GPU-bb": "b"}
    assert await place("b") == second  # a further revision in the same words
    more = await place("b", InstanceSpec(container=make_container(gpus=[{"count": 2}])))
    assert more.container.device_requests[0].device_ids == ["GPU-bb", "GPU-cc"]
    async with node.write() as session:
        await settle_instance(session, "b", second)
    assert await gpus() == {"GPU-aa": "a", "GPU-bb": "b"}
    async with node.write() as session:
        assert await release_instance(session, "a")
    assert await gpus() == {"GPU-bb": "b"}
    assert (await place("c")).container == first.container


async def test_many_at_once_get_each_another_gpu(node: Database) -> None:
    await edit(node, inventory={"gpus": GPUS}, capacity={"gpus": 3})
    answers = await asyncio.gather(*[take(node, room(f"r{number}", gpus=[{"count": 1}])) for number in range(40)])
    assert sorted(gpu for (answer,) in answers for gpu in answer.gpus) == ["GPU-aa", "GPU-bb", "GPU-cc"]
