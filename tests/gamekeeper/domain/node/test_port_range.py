"""The choice of ports: fixed ones first, then those that are kept, then the lowest that are free."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.given_port import PortWish
from gamekeeper.domain.node.port_range import NODE_RANGE, NoPorts, PortRange, choose_ports

SMALL = PortRange(100, 104)
UDP = ("udp",)
BOTH = ("tcp", "udp")


@pytest.mark.parametrize(
    ("wishes", "taken", "kept", "given"),
    [
        ([], {}, {}, {}),
        ([PortWish("a")], {}, {}, {"a": 100}),
        ([PortWish("a")], {("tcp", 100): "x", ("udp", 101): "x"}, {}, {"a": 101}),
        ([PortWish("a", BOTH)], {("tcp", 100): "x", ("udp", 101): "x"}, {}, {"a": 102}),
        ([PortWish("a"), PortWish("b")], {}, {}, {"a": 100, "b": 101}),
        ([PortWish("a"), PortWish("b", UDP)], {}, {}, {"a": 100, "b": 100}),
        ([PortWish("a", count=3)], {("tcp", 101): "x"}, {}, {"a": 102}),
        ([PortWish("a")], {}, {"a": 103}, {"a": 103}),
        ([PortWish("a")], {}, {"a": 99}, {"a": 100}),  # the range was moved
        ([PortWish("a", count=2)], {}, {"a": 104}, {"a": 100}),
        ([PortWish("a")], {("tcp", 103): "x"}, {"a": 103}, {"a": 100}),
        ([PortWish("a"), PortWish("b")], {}, {"b": 100}, {"a": 101, "b": 100}),
        ([PortWish("a"), PortWish("b", within=(100, 100))], {}, {}, {"a": 101, "b": 100}),
        ([PortWish("a", within=(80, 80))], {}, {"a": 100}, {"a": 80}),
        ([PortWish("a", within=(80, 82))], {("tcp", 80): "x"}, {}, {"a": 81}),
        ([PortWish("a", within=(80, 82))], {}, {"a": 82}, {"a": 82}),
    ],
)
def test_numbers(
    wishes: list[PortWish], taken: dict[tuple[str, int], str], kept: dict[str, int], given: dict[str, int]
) -> None:
    own = {("tcp", number): key for key, number in kept.items()}
    assert choose_ports(wishes, SMALL, taken, own) == given


def test_a_block_is_kept_by_its_first_number() -> None:
    own = {("udp", 102): "a", ("udp", 101): "a"}
    assert choose_ports([PortWish("a", UDP, 2)], SMALL, {}, own) == {"a": 101}
    assert choose_ports([PortWish("a", UDP, 3)], SMALL, {("udp", 103): "x"}, {("udp", 101): "a"}) == NoPorts(
        "no 3 ports in a row of 100-104/udp are free"
    )
    assert choose_ports([PortWish("a", UDP, 3)], SMALL, {}, own) == {"a": 101}  # it grows where there is room


def test_a_new_port_takes_no_number_of_the_revision_before() -> None:
    assert choose_ports([PortWish("b")], SMALL, {}, {("tcp", 100): "a"}) == {"b": 101}
    assert choose_ports([PortWish("b", within=(100, 100))], SMALL, {}, {("tcp", 100): "a"}) == {"b": 100}


@pytest.mark.parametrize(
    ("wishes", "taken", "why"),
    [
        ([PortWish("a", within=(80, 80))], {("tcp", 80): "instance b"}, "port 80/tcp is taken by instance b"),
        ([PortWish("a", UDP, 2, (80, 81))], {("udp", 81): "instance b"}, "port 81/udp is taken by instance b"),
        ([PortWish("a", within=(80, 80)), PortWish("b", within=(80, 80))], {}, "port 80/tcp is asked for twice"),
        ([PortWish("a", count=6)], {}, "no 6 ports in a row of 100-104/tcp are free"),
        ([PortWish("a", BOTH)], {("udp", n): "x" for n in range(100, 105)}, "no port of 100-104/tcp+udp is free"),
        ([PortWish("a", within=(8, 9))], {("tcp", 8): "x", ("tcp", 9): "x"}, "no port of 8-9/tcp is free"),
    ],
)
def test_none_is_left(wishes: list[PortWish], taken: dict[tuple[str, int], str], why: str) -> None:
    assert choose_ports(wishes, SMALL, taken) == NoPorts(why)


def test_a_range_that_ends_before_it_begins_is_empty() -> None:
    assert len(PortRange(30, 20)) == 0
    assert isinstance(choose_ports([PortWish("a")], PortRange(30, 20), {}), NoPorts)


def test_the_usual_range_is_below_that_of_connections() -> None:
    assert len(NODE_RANGE) == 10_000
    assert 29_999 in NODE_RANGE
    assert 32_768 not in NODE_RANGE


def test_what_is_probably_in_use_is_no_free_one_and_may_be_asked_for() -> None:
    shunned = {("tcp", 100), ("tcp", 102)}
    asked = [PortWish("a"), PortWish("b", within=(102, 102)), PortWish("c")]
    assert choose_ports(asked, SMALL, {}, {}, shunned) == {"a": 101, "b": 102, "c": 103}
    assert choose_ports([PortWish("a")], SMALL, {}, {("tcp", 100): "a"}, shunned) == {"a": 100}  # its own container
