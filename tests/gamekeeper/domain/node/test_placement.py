"""Placement: each filter says its reason, each score its order, and no placement exceeds a node's room."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.domain.language.given_port import PortWish
from gamekeeper.domain.node.ability import Ability
from gamekeeper.domain.node.capacity import Capacity
from gamekeeper.domain.node.demand import Demand, GpuDemand, Where
from gamekeeper.domain.node.node import NodeMode, NodeStatus
from gamekeeper.domain.node.placement import (
    Candidate,
    Neighbour,
    Placement,
    Unplaced,
    Use,
    can_ever_fit,
    place,
    policy_refusals,
)
from gamekeeper.domain.node.placement_words import told
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.node.port_range import PortRange
from tests.factories import make_container

GIB = 2**30
ARENA = Neighbour("instance arena", {"game": "arena"}, group="arena")


def node(id_: str = "node-1", **fields: Any) -> Candidate:
    return Candidate(id_, **({"capacity": Capacity(8.0, 8 * GIB, 100)} | fields))


def demand(**fields: Any) -> Demand:
    return Demand(**({"cpus": 1.0, "memory_bytes": GIB} | fields))


def why(asked: Demand, *candidates: Candidate) -> dict[str, str]:
    answer = place(asked, candidates)
    assert isinstance(answer, Unplaced)
    return dict(answer.why)


SHORT = "its agent has not told what it can do yet; 8 of 8 CPUs are free, 9 are asked for"
FILTERS: list[tuple[Candidate, Demand, str]] = [
    (node(), demand(where=Where(node="node-2")), 'node "node-2" is asked for'),
    (node(labels={"pool": "b"}), demand(where=Where(labels={"pool": "a"})), "it has no label pool=a"),
    (node(architecture="aarch64"), demand(architecture="x86_64"), "it is aarch64, x86_64 is asked for"),
    (
        node(abilities=[], agent="0.1.0"),
        demand(abilities=frozenset({Ability.INSTANCES})),
        "its agent (0.1.0) keeps no instances: upgrade it",
    ),
    (
        node(abilities=["instances"]),
        demand().beside(1.0, GIB, 0),
        "its agent brings no revision up beside another: upgrade it, or write strategy: recreate",
    ),
    (node(agent="0.1.0"), demand().beside(1.0, GIB, 0), "its agent (0.1.0) has not told what it can do yet"),
    (node(), demand(cpus=5).beside(4.0, GIB, 0), SHORT),
    (node(refusals=["its policy forbids it: privileged"]), demand(), "its policy forbids it: privileged"),
    (node(), demand(cpus=9.5), "8 of 8 CPUs are free, 9.5 are asked for"),
    (node(used=Use(cpus=6)), demand(cpus=4), "2 of 8 CPUs are free, 4 are asked for"),
    (
        node(used=Use(memory_bytes=7 * GIB)),
        demand(memory_bytes=2 * GIB),
        "1.0 GiB of 8.0 GiB of memory are free, 2.0 GiB are asked for",
    ),
    (node(used=Use(pids=50)), demand(pids=51), "50 of 100 processes are free, 51 are asked for"),
    (node(), demand(gpus=GpuDemand()), "it has no GPUs"),
    (
        node(capacity=Capacity(8.0, 8 * GIB, gpus={"nvidia": 2}), used=Use(gpus={"nvidia": 1})),
        demand(gpus=GpuDemand(2)),
        "1 of 2 GPUs is free, 2 are asked for",
    ),
    (
        node(capacity=Capacity(8.0, 8 * GIB, gpus={"nvidia": 2}), used=Use(gpus={"nvidia": 1})),
        demand(gpus=GpuDemand(None, "nvidia")),
        "1 of 2 nvidia GPUs is free, all are asked for",
    ),
    (node(capacity=Capacity(gpus={"amd": 2})), demand(gpus=GpuDemand(1, "nvidia")), "it has no nvidia GPUs"),
    (node(mode=NodeMode.MAINTENANCE), demand(), "it is in maintenance: it takes nothing new"),
    (node(mode=NodeMode.DISABLED), demand(), "it is disabled"),
    (node(status=NodeStatus.OFFLINE), demand(), "it is offline"),
    (node(status=NodeStatus.NEVER_SEEN), demand(), "it has never been there"),
    (node(troubles=["the disk is 95 % full"]), demand(), "the disk is 95 % full"),
    (
        node(neighbours=[ARENA]),
        demand(where=Where(anti_affinity={"game": "arena"})),
        "instance arena is there, and anti_affinity keeps both apart",
    ),
    (
        node(taken={("udp", 27_015): "instance arena"}),
        demand(ports=(PortWish("game", ("udp",), within=(27_015, 27_015)),)),
        "port 27015/udp is taken by instance arena",
    ),
    (
        node(capacity=Capacity(ports=PortRange(20, 21)), taken={("tcp", 20): "a", ("tcp", 21): "b"}),
        demand(ports=(PortWish("web"),)),
        "no port of 20-21/tcp is free",
    ),
    (
        node(capacity=Capacity(ports=PortRange(20, 21))),
        demand(ports=(PortWish("media", count=3),)),
        "its ports 20-21 are 2, 3 in a row are asked for",
    ),
]


@pytest.mark.parametrize(("candidate", "asked", "words"), FILTERS, ids=[words for _, _, words in FILTERS])
def test_a_node_that_is_left_out_says_why(candidate: Candidate, asked: Demand, words: str) -> None:
    assert why(asked, candidate) == {candidate.id: words}


def test_an_agent_that_has_told_nothing_yet_is_believed_to_keep_instances() -> None:
    asked = demand(abilities=frozenset({Ability.INSTANCES}))
    assert isinstance(place(asked, [node(), node("node-2", abilities=["instances", "more"])]), Placement)


def test_a_node_tells_all_its_reasons() -> None:
    full = node(mode=NodeMode.MAINTENANCE, used=Use(cpus=8))
    assert why(demand(), full) == {
        "node-1": "it is in maintenance: it takes nothing new; 0 of 8 CPUs are free, 1 is asked for"
    }


def test_the_room_that_is_left_may_be_taken_whole() -> None:
    assert place(demand(cpus=2), [node(used=Use(cpus=5.999_999_99))]) == Placement("node-1")
    assert place(demand(memory_bytes=GIB), [node(used=Use(memory_bytes=7 * GIB))]) == Placement("node-1")


def test_a_node_of_which_nothing_is_known_is_bounded_by_nothing() -> None:
    asked = demand(cpus=1000, where=Where(node="node-1"))
    assert place(asked, [node(capacity=Capacity(), status=NodeStatus.NEVER_SEEN)]) == Placement("node-1")


@pytest.mark.parametrize("status", list(NodeStatus))
def test_a_node_that_is_asked_for_by_its_id_is_waited_for(status: NodeStatus) -> None:
    asked = demand(where=Where(node="node-1"))
    assert place(asked, [node(status=status, troubles=["the disk is full"])]) == Placement("node-1")


def test_other_neighbours_do_not_matter() -> None:
    asked = demand(where=Where(anti_affinity={"game": "arena", "tier": "gold"}))
    assert place(asked, [node(neighbours=[ARENA])]) == Placement("node-1")


SCORES: list[tuple[str, dict[str, Any], list[Candidate]]] = [
    ("the emptier node", {}, [node("a", used=Use(cpus=4)), node("best")]),
    ("the fuller node", {"strategy": "pack"}, [node("a"), node("best", used=Use(cpus=4))]),
    ("the first of equal ones", {}, [node("best-2"), node("best-1")]),
    ("the scarcest room counts", {}, [node("a", used=Use(memory_bytes=4 * GIB)), node("best", used=Use(cpus=3))]),
    ("a suspect one comes last", {}, [node("a", status=NodeStatus.SUSPECT), node("best", used=Use(cpus=7))]),
    ("a group is spread", {"group": "arena"}, [node("a", neighbours=[ARENA]), node("best", used=Use(cpus=7))]),
    (
        "a group is packed",
        {"group": "arena", "strategy": "pack"},
        [node("a", used=Use(cpus=6)), node("best", neighbours=[ARENA])],
    ),
    (
        "a group is kept together, where there is room",
        {"group": "arena", "strategy": "together"},
        [
            node("a", neighbours=[ARENA, ARENA], used=Use(cpus=8)),
            node("b"),
            node("best", neighbours=[ARENA], used=Use(cpus=7)),
        ],
    ),
    ("what is kept together is spread else", {"strategy": "together"}, [node("a", used=Use(cpus=4)), node("best")]),
    ("other groups do not matter", {"group": "maze"}, [node("a", used=Use(cpus=1)), node("best", neighbours=[ARENA])]),
    (
        "a group is spread over a label",
        {"group": "arena", "across": "rack"},
        [
            node("a", labels={"rack": "1"}),
            node("b", labels={"rack": "1"}, neighbours=[ARENA]),
            node("best", labels={"rack": "2"}, used=Use(cpus=7)),
        ],
    ),
    (
        "a group is packed by a label",
        {"group": "arena", "across": "rack", "strategy": "pack"},
        [
            node("best", labels={"rack": "1"}),
            node("full", labels={"rack": "1"}, neighbours=[ARENA], used=Use(cpus=8)),
            node("c", labels={"rack": "2"}, used=Use(cpus=7)),
        ],
    ),
]


@pytest.mark.parametrize(("where", "candidates"), [row[1:] for row in SCORES], ids=[row[0] for row in SCORES])
def test_the_best_node(where: dict[str, Any], candidates: list[Candidate]) -> None:
    for order in (candidates, candidates[::-1]):
        answer = place(demand(where=Where(**where)), order)
        assert isinstance(answer, Placement)
        assert answer.node.startswith("best")
        assert answer.node != "best-2"


def test_the_next_best_is_taken_where_the_best_has_no_port() -> None:
    asked = demand(ports=(PortWish("game", within=(80, 80)),))
    taken = node("a", taken={("tcp", 80): "instance x"})
    assert place(asked, [taken, node("b", used=Use(cpus=4))]) == Placement("b", {"game": 80})


@pytest.mark.parametrize(
    ("asked", "vendor", "count"),
    [
        (GpuDemand(), "nvidia", 1),
        (GpuDemand(2), "nvidia", 2),
        (GpuDemand(None), "amd", 1),
        (GpuDemand(1, "nvidia"), "nvidia", 1),
    ],
)
def test_gpus_are_of_one_vendor(asked: GpuDemand, vendor: str, count: int) -> None:
    mixed = node(capacity=Capacity(gpus={"nvidia": 3, "amd": 1}), used=Use(gpus={"nvidia": 1}))
    assert place(demand(gpus=asked), [mixed]) == Placement("node-1", {}, vendor, count)


def test_a_full_node_in_maintenance_may_fit_later() -> None:
    full = node(mode=NodeMode.MAINTENANCE, status=NodeStatus.OFFLINE, used=Use(cpus=8))
    assert can_ever_fit(demand(), [full]) is None


@pytest.mark.parametrize(
    "asked",
    [demand(cpus=9), demand(memory_bytes=9 * GIB), demand(gpus=GpuDemand()), demand(where=Where(labels={"pool": "a"}))],
)
def test_what_no_node_has_never_fits(asked: Demand) -> None:
    answer = can_ever_fit(asked, [node(), node("node-2")])
    assert answer is not None
    assert [name for name, _ in answer.why] == ["node-1", "node-2"]


def test_nothing_fits_on_no_node() -> None:
    assert can_ever_fit(demand(), []) == Unplaced([])
    assert place(demand(), []) == Unplaced([])


def test_a_policy_refuses_in_its_own_words() -> None:
    container = make_container(privileged=True)
    assert policy_refusals(NodePolicy(), container) == [
        f"its policy ({NodePolicy().revision}) forbids it: privileged is not in the policy"
    ]
    assert policy_refusals(None, container) == []


def test_the_reasons_of_a_large_fleet_are_cut() -> None:
    assert told([("a", "x"), ("b", "y")]) == "a: x | b: y"
    assert told([(str(number), "x") for number in range(12)]).endswith("| and 2 more nodes")


CPUS = st.sampled_from([0.1, 0.5, 1.0, 2.5, 4.0])
WISHES = st.builds(
    PortWish,
    key=st.sampled_from(["game", "web", "query"]),
    protocols=st.sampled_from([("tcp",), ("udp",), ("tcp", "udp")]),
    count=st.integers(1, 3),
)
DEMANDS = st.builds(
    Demand,
    cpus=CPUS,
    memory_bytes=st.integers(1, 4).map(lambda count: count * GIB),
    pids=st.integers(0, 60),
    gpus=st.none() | st.builds(GpuDemand, count=st.none() | st.integers(1, 2)),
    ports=st.lists(WISHES, max_size=3, unique_by=lambda wish: wish.key).map(tuple),
    where=st.builds(Where, strategy=st.sampled_from(["spread", "pack"])),
)


@given(st.lists(DEMANDS, max_size=25), st.integers(1, 3))
def test_no_placement_ever_exceeds_the_room(asked: list[Demand], count: int) -> None:
    """Whatever is asked for, one after the other, with what was given before as used."""
    room = Capacity(4.0, 8 * GIB, 100, gpus={"nvidia": 2}, ports=PortRange(100, 109))
    given_to: dict[str, list[tuple[Demand, Placement]]] = {f"n{index}": [] for index in range(count)}
    for one in asked:
        answer = place(one, [_with(name, room, found) for name, found in given_to.items()])
        if isinstance(answer, Placement):
            given_to[answer.node].append((one, answer))
    for found in given_to.values():
        assert sum(one.cpus for one, _ in found) <= 4.0 + 1e-6
        assert sum(one.memory_bytes for one, _ in found) <= 8 * GIB
        assert sum(one.pids for one, _ in found) <= 100
        assert sum(answer.gpu_count for _, answer in found) <= 2
        numbers = [number for one, answer in found for number in _numbers(one, answer)]
        assert len(numbers) == len(set(numbers))
        assert all(100 <= number <= 109 for _, number in numbers)


def _numbers(one: Demand, answer: Placement) -> list[tuple[str, int]]:
    return [
        (protocol, answer.ports[wish.key] + index)
        for wish in one.ports
        for protocol in wish.protocols
        for index in range(wish.count)
    ]


def _with(name: str, room: Capacity, found: list[tuple[Demand, Placement]]) -> Candidate:
    used = Use(
        cpus=sum(one.cpus for one, _ in found),
        memory_bytes=sum(one.memory_bytes for one, _ in found),
        pids=sum(one.pids for one, _ in found),
        gpus={"nvidia": sum(answer.gpu_count for _, answer in found)},
    )
    taken = {number: "another" for one, answer in found for number in _numbers(one, answer)}
    return Candidate(name, capacity=room, used=used, taken=taken)
