"""Instances get their places: promised once, kept through revisions, given back once. On SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gamekeeper.control_plane.placement.instance import (
    PlacedInstance,
    owner_of,
    place_instance,
    release_instance,
    settle_instance,
)
from gamekeeper.db.engine import Database
from gamekeeper.db.models import ContainerRow, InstanceRow, NodeRow
from gamekeeper.db.repositories.reservation import ReservationRepository
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.demand import Where
from gamekeeper.domain.node.placement import Use
from gamekeeper.errors import ConflictError, GamekeeperError, InvalidError, NotFoundError

GIB = 2**30
GAME = {"name": "game", "target": "2456-2457", "published": 0, "protocol": "udp", "same_number": True}
HERE = Where(node="n1")


@pytest.fixture
async def nodes(database: Database) -> Database:
    """``n1`` has 4 CPUs and room for ten ports, ``n2`` has 8 and a GPU. Both are online."""
    small = {"port_first": 20_000, "port_last": 20_009}
    async with database.write() as session:
        session.add(_node("n1", {"cpus": 4, "memory_bytes": 8 * GIB}, small, labels={"pool": "a"}))
        session.add(
            _node(
                "n2",
                {"cpus": 8, "memory_bytes": 8 * GIB, "gpus": 1},
                {},
                policy={"devices": ["gpu"]},
                inventory={"gpus": [{"name": "NVIDIA L4"}]},
            )
        )
    return database


def _node(id_: str, capacity: dict[str, int], override: dict[str, int], **fields: Any) -> NodeRow:
    return NodeRow(id=id_, name=id_, status="online", capacity=capacity, capacity_override=override, **fields)


def spec(cpus: str | None = None, **container: Any) -> InstanceSpec:
    limits = {"deploy": {"resources": {"limits": {"cpus": cpus}}}} if cpus else {}
    return InstanceSpec(container=Container.model_validate({"image": "i"} | limits | container))


async def place(
    database: Database, id_: str, what: InstanceSpec, where: Where = HERE, *, beside: bool = False
) -> PlacedInstance:
    async with database.write() as session:
        return await place_instance(session, id_, what, where, beside=beside)


async def edit(database: Database, node_id: str, **fields: Any) -> None:
    async with database.write() as session:
        row = await session.get_one(NodeRow, node_id)
        for name, value in fields.items():
            setattr(row, name, value)


async def used(database: Database) -> dict[str, Use]:
    async with database.read() as session:
        return await ReservationRepository(session).used()


async def ports(database: Database, id_: str) -> list[tuple[str, int, str]]:
    async with database.read() as session:
        rows = await ReservationRepository(session).ports_of(owner_of(id_))
        return [(row.protocol, row.number, row.key) for row in rows]


async def test_an_instance_gets_its_room_and_its_ports(nodes: Database) -> None:
    placed = await place(nodes, "arena", spec("1.5", ports=[GAME, "0:80", "127.0.0.1:8080:81"]))
    assert placed.node == "n1"
    container = placed.spec.container
    assert container.ports == [
        "game=20000-20001:20000-20001/udp",
        "20000:80/tcp",
        "127.0.0.1:8080:81/tcp",
    ]
    assert container.environment == {
        "GAMEKEEPER_PORT_GAME": "20000",
        "GAMEKEEPER_PORT_80": "20000",
        "GAMEKEEPER_PORT_81": "8080",
    }
    assert (await used(nodes))["n1"] == Use(1.5, 128 * 2**20)
    assert await ports(nodes, "arena") == [
        ("tcp", 8080, "81"),
        ("tcp", 20_000, "80"),
        ("udp", 20_000, "game"),
        ("udp", 20_001, "game"),
    ]


async def test_nothing_is_promised_where_the_transaction_fails(nodes: Database) -> None:
    with pytest.raises(RuntimeError):  # noqa: PT012 - the transaction ends with the block
        async with nodes.write() as session:
            await place_instance(session, "arena", spec("1", ports=["0:80"]), HERE)
            raise RuntimeError("the caller's own trouble")
    assert await used(nodes) == {}
    assert await ports(nodes, "arena") == []


@pytest.mark.parametrize(
    ("error", "what", "where", "words"),
    [
        (NotFoundError, spec(), Where(node="n9"), 'no node "n9"'),
        (
            InvalidError,
            spec("9"),
            Where(),
            "instance b fits on no node: n1: 4 of 4 CPUs are free, 9 are asked for | n2: 8 of 8",
        ),
        (InvalidError, spec(gpus="all"), HERE, "n1: it has no GPUs"),
        (InvalidError, spec(privileged=True), Where(node="n2"), ") forbids it: privileged"),
        (InvalidError, spec(), Where(labels={"pool": "b"}), "n1: it has no label pool=b | n2: it has no label pool=b"),
        (ConflictError, spec("3"), HERE, "instance b fits on no node now: n1: 2 of 4 CPUs are free, 3 are asked for"),
        (ConflictError, spec(ports=["8080:8080"]), HERE, "n1: port 8080/tcp is taken by another instance"),
        (
            ConflictError,
            spec(),
            Where(labels={"pool": "a"}, anti_affinity={"game": "arena"}),
            "n1: another instance is there",
        ),
    ],
)
async def test_a_refusal_says_why(
    nodes: Database, error: type[GamekeeperError], what: InstanceSpec, where: Where, words: str
) -> None:
    async with nodes.write() as session:
        session.add(InstanceRow(id="a", node_id="n1", labels={"game": "arena"}))
    await place(nodes, "a", spec("2", ports=["8080:80"]))
    with pytest.raises(error) as refused:
        await place(nodes, "b", what, where)
    assert words in str(refused.value)


async def test_a_node_that_is_described_is_chosen(nodes: Database) -> None:
    assert (await place(nodes, "a", spec("1"), Where())).node == "n2"  # more room
    assert (await place(nodes, "b", spec("1"), Where(labels={"pool": "a"}))).node == "n1"
    assert (await place(nodes, "c", spec(gpus="all"), Where())).node == "n2"
    await edit(nodes, "n2", conditions=[{"type": "DiskPressure", "reason": "the disk is 95 % full"}])
    assert (await place(nodes, "d", spec("1"), Where())).node == "n1"
    await edit(nodes, "n1", status="offline")
    with pytest.raises(ConflictError, match=r"n1: it is offline \| n2: the disk is 95 % full"):
        await place(nodes, "e", spec("1"), Where())


async def test_a_group_is_spread_over_the_nodes(nodes: Database) -> None:
    where = []
    for id_ in ("a", "b", "c"):
        placed = await place(nodes, id_, spec("0.1"), Where(group="arena"))
        async with nodes.write() as session:
            session.add(InstanceRow(id=id_, node_id=placed.node, group="arena"))
        where.append(placed.node)
    assert sorted(where) == ["n1", "n2", "n2"]


async def test_a_port_on_another_node_is_free(nodes: Database) -> None:
    await place(nodes, "a", spec("1", ports=["8080:80"]), Where(node="n2"))
    assert (await place(nodes, "b", spec("1", ports=["8080:80"]), Where())).node == "n1"


async def test_a_port_that_a_container_publishes_is_no_free_one(nodes: Database) -> None:
    """Steps hold none, and publish all the same. Reports may be old, so no fixed number is refused for them."""
    placed = await place(nodes, "arena", spec(ports=["0:70"]))
    async with nodes.write() as session:
        for name, ports in {
            "gk-run-web-1": ["0.0.0.0:8080->80/tcp", "0.0.0.0:20001->1/tcp", ":::20002->1/tcp", "odd"],
            "gk-i-arena-1": ["0.0.0.0:20000->70/tcp"],
        }.items():
            session.add(ContainerRow(node_id="n1", id=name, name=name, image="i", status="running", ports=ports))
    assert (await place(nodes, "b", spec(ports=["0:90"]))).spec.container.ports == ["20003:90/tcp"]
    assert (await place(nodes, "c", spec(ports=["8080:90"]))).spec.container.ports == ["8080:90/tcp"]
    assert (await place(nodes, "arena", placed.spec)).spec == placed.spec


async def test_a_row_of_a_newer_version_hides_no_other_node(nodes: Database) -> None:
    await edit(nodes, "n2", policy={"a_key_of_tomorrow": True})
    assert (await place(nodes, "a", spec("1"), Where())).node == "n1"
    with pytest.raises(InvalidError, match="n2: its row can't be read by this version"):
        await place(nodes, "b", spec("1"), Where(node="n2"))


async def test_a_further_revision_keeps_its_numbers_and_holds_both_until_it_stays(nodes: Database) -> None:
    first = await place(nodes, "arena", spec("3", ports=[GAME, "0:80"]))
    await place(nodes, "other", spec(ports=["0:80"]))
    again = await place(nodes, "arena", spec("1", ports=["0:90", GAME | {"target": "7-8"}]), Where(node="n2"))
    assert again.node == "n1"  # it has its place
    assert again.spec.container.ports == ["20002:90/tcp", "game=20000-20001:20000-20001/udp"]
    assert (await used(nodes))["n1"].cpus == pytest.approx(3.1)
    assert ("tcp", 20_000, "80") in await ports(nodes, "arena")
    async with nodes.write() as session:
        await settle_instance(session, "arena", again.spec)
        await settle_instance(session, "arena", again.spec)
    assert (await used(nodes))["n1"].cpus == pytest.approx(1.1)
    assert await ports(nodes, "arena") == [("udp", 20_000, "game"), ("udp", 20_001, "game"), ("tcp", 20_002, "90")]
    back = await place(nodes, "arena", first.spec)  # by a rollback
    assert back.spec == first.spec


async def able(database: Database) -> None:
    await edit(database, "n1", system={"abilities": ["instances", "blue_green"]}, agent_version="0.2.0")


async def test_side_by_side_both_have_their_room_and_their_ports(nodes: Database) -> None:
    await able(nodes)
    wish = spec("1.5", ports=[GAME, "0:80"])
    first = await place(nodes, "arena", wish)
    second = await place(nodes, "arena", first.spec, beside=True)  # as it is stored, its numbers given
    assert second.spec.container.ports == ["game=20002-20003:20002-20003/udp", "20001:80/tcp"]
    assert second.spec.container.environment == {"GAMEKEEPER_PORT_GAME": "20002", "GAMEKEEPER_PORT_80": "20001"}
    assert second.spec.asked == first.spec.asked == wish
    assert (await used(nodes))["n1"] == Use(3.0, 256 * 2**20)
    assert len(await ports(nodes, "arena")) == 6
    async with nodes.write() as session:
        await settle_instance(session, "arena", second.spec)
    assert (await used(nodes))["n1"] == Use(1.5, 128 * 2**20)
    kept = [("tcp", 20_001, "80"), ("udp", 20_002, "game"), ("udp", 20_003, "game")]
    assert await ports(nodes, "arena") == kept
    assert (await place(nodes, "arena", second.spec)).spec == second.spec


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (spec("3"), "4 of 4 CPUs are free, 5 are asked for"),
        (spec("1", ports=["8080:80"]), "port 8080/tcp is taken by instance arena"),
    ],
)
async def test_what_has_no_place_beside_the_other_is_refused(nodes: Database, what: InstanceSpec, words: str) -> None:
    await able(nodes)
    before = await place(nodes, "arena", spec("2", ports=["8080:80"]))
    with pytest.raises(GamekeeperError, match=words):
        await place(nodes, "arena", what, beside=True)
    async with nodes.write() as session:
        await settle_instance(session, "arena", before.spec)
    assert (await used(nodes))["n1"].cpus == 2.0


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ({}, r"its agent \(0.1.0\) has not told what it can do yet"),
        ({"abilities": []}, r"its agent \(0.1.0\) keeps no instances: upgrade it"),
        ({"abilities": ["instances"]}, "brings no revision up beside another: upgrade it"),
    ],
)
async def test_an_agent_that_is_too_old_is_told_beforehand(nodes: Database, system: dict[str, Any], words: str) -> None:
    await place(nodes, "arena", spec("1"))
    await edit(nodes, "n1", system=system, agent_version="0.1.0")
    with pytest.raises(InvalidError, match=words):
        await place(nodes, "arena", spec("1"), beside=True)
    if system == {"abilities": []}:
        with pytest.raises(InvalidError, match=words):
            await place(nodes, "new", spec("1"))
    else:
        await place(nodes, "new", spec("1"))


async def test_a_revert_gives_back_what_the_update_took(nodes: Database) -> None:
    first = await place(nodes, "arena", spec("1", ports=["0:80"]))
    await place(nodes, "arena", spec("2", ports=["0:80", "0:81"]))
    async with nodes.write() as session:
        await settle_instance(session, "arena", first.spec)
    assert await used(nodes) == {"n1": Use(1.0, 128 * 2**20)}
    assert await ports(nodes, "arena") == [("tcp", 20_000, "80")]


async def test_an_update_needs_room_for_what_it_adds_alone(nodes: Database) -> None:
    await place(nodes, "arena", spec("3"))
    await place(nodes, "other", spec("1"))
    await edit(nodes, "n1", mode="maintenance", status="offline", capacity_override={"cpus": 1})
    assert (await place(nodes, "arena", spec("2"))).node == "n1"
    with pytest.raises(ConflictError, match=r"3\.5 are asked for"):
        await place(nodes, "arena", spec("3.5"))


async def test_the_room_is_given_back_once(nodes: Database) -> None:
    await place(nodes, "arena", spec("4", ports=[GAME]))
    async with nodes.write() as session:
        assert await release_instance(session, "arena") is True
        assert await release_instance(session, "arena") is False
    assert await used(nodes) == {}
    assert (await place(nodes, "next", spec("4", ports=[GAME]))).spec.container.ports[0].startswith("game=20000-20001")


@pytest.mark.parametrize("what", [spec("4"), spec(ports=["27015:27015/udp"]), spec(ports=["0:1-10"])])
async def test_of_two_hundred_for_one_slot_exactly_one_gets_it(
    nodes: Database, database_url: str, what: InstanceSpec
) -> None:
    """By two processes at once: each has a database object of its own."""
    another = Database(database_url)

    async def attempt(number: int) -> str | None:
        try:
            await place((nodes, another)[number % 2], f"i{number}", what)
        except ConflictError as error:
            return str(error)
        return None

    answers = await asyncio.gather(*[attempt(number) for number in range(200)])
    await another.close()
    assert answers.count(None) == 1
    assert all("fits on no node now: n1:" in answer for answer in answers if answer is not None)
    async with nodes.read() as session:
        holders = set((await ReservationRepository(session).ports(["n1"])).get("n1", {}).values())
    assert len(holders) == (1 if what.container.ports else 0)
    assert (await used(nodes))["n1"].cpus <= 4


async def test_many_at_once_share_the_room_without_exceeding_it(nodes: Database) -> None:
    placed = await asyncio.gather(
        *[place(nodes, f"i{number}", spec("1", ports=["0:80"]), Where()) for number in range(20)],
        return_exceptions=True,
    )
    assert sum(isinstance(answer, PlacedInstance) for answer in placed) == 12
    assert {node: use.cpus for node, use in (await used(nodes)).items()} == {"n1": 4.0, "n2": 8.0}
