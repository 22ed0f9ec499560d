"""Ports of an instance: keys by which it keeps them, and the container that it is given with its numbers."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.given_port import (
    PortWish,
    asks_same_number,
    given_numbers,
    keys_of,
    seen_numbers,
    wishes_of,
    with_given_ports,
    without_marks,
)
from tests.factories import make_container

GAME = {"name": "game", "target": "2456-2458", "published": 0, "protocol": "udp"}


@pytest.mark.parametrize(
    ("ports", "wishes"),
    [
        ([], []),
        (["0:80"], [PortWish("80")]),
        (["80/udp"], [PortWish("80", ("udp",))]),
        (["8080:80"], [PortWish("80", within=(8080, 8080))]),
        (["8000-8010:80"], [PortWish("80", within=(8000, 8010))]),
        (["2456-2458:2456-2458/udp"], [PortWish("2456", ("udp",), 3, (2456, 2458))]),
        ([GAME], [PortWish("game", ("udp",), 3)]),
        (["0:27015/udp", "0:27015/tcp"], [PortWish("27015", ("udp", "tcp"))]),  # one number for both
        (["8080:80", "8081:80"], [PortWish("80", within=(8080, 8080)), PortWish("80-2", within=(8081, 8081))]),
        (["web=0:80", "web=0:81"], [PortWish("web"), PortWish("web-2")]),
    ],
)
def test_the_wishes_of_a_container(ports: list[object], wishes: list[PortWish]) -> None:
    assert wishes_of(make_container(ports=ports)) == wishes


@pytest.mark.parametrize(
    ("wish", "number"),
    [
        (PortWish("a"), None),
        (PortWish("a", within=(80, 80)), 80),
        (PortWish("a", within=(80, 90)), None),
        (PortWish("a", count=11, within=(80, 90)), 80),
    ],
)
def test_a_range_of_the_right_length_is_fixed(wish: PortWish, number: int | None) -> None:
    assert wish.number == number


@pytest.mark.parametrize(
    ("port", "given", "plain"),
    [
        ("0:80", {"80": 20_000}, "20000:80/tcp"),
        ("127.0.0.1:0:80/udp", {"80": 20_000}, "127.0.0.1:20000:80/udp"),
        ("[::1]::80", {"80": 20_000}, "[::1]:20000:80/tcp"),
        ("8000-8010:80", {"80": 8003}, "8003:80/tcp"),
        (GAME, {"game": 21_000}, "game=21000-21002:2456-2458/udp"),
        (GAME | {"same_number": True}, {"game": 21_000}, "game=21000-21002:21000-21002/udp"),
        ({"target": 59_000, "same_number": True}, {"59000": 21_000}, "59000=21000:21000/tcp"),
        ({"target": 80, "published": 80, "same_number": True}, {"80": 80}, "80:80/tcp"),
    ],
)
def test_a_given_port_is_plain(port: object, given: dict[str, int], plain: str) -> None:
    container = make_container(ports=[port])
    assert with_given_ports(container, given).ports == [plain]
    assert set(given) == {wish.key for wish in wishes_of(container)}


def test_a_container_keeps_its_keys_when_its_ports_are_given() -> None:
    container = make_container(ports=[GAME, "0:80=", "8080:81", "8081:81", "0:27015/tcp", "0:27015/udp"])
    given = {wish.key: 30_000 + 10 * index for index, wish in enumerate(wishes_of(container))} | {
        "81": 8080,
        "81-2": 8081,
    }
    plain = with_given_ports(container, given)
    assert {wish.key: wish.number for wish in wishes_of(plain)} == given == given_numbers(plain)
    assert with_given_ports(plain, given) == plain


def test_a_server_learns_its_numbers_and_its_own_words_stay() -> None:
    container = make_container(ports=[GAME, "0:80", "0:81"], environment={"GAMEKEEPER_PORT_80": "mine"})
    told = with_given_ports(container, {"game": 21_000, "80": 22_000, "81": 22_001}).environment
    assert told == {"GAMEKEEPER_PORT_GAME": "21000", "GAMEKEEPER_PORT_80": "mine", "GAMEKEEPER_PORT_81": "22001"}
    assert container.environment == {"GAMEKEEPER_PORT_80": "mine"}


def test_a_container_without_ports_is_told_nothing() -> None:
    container = make_container()
    assert with_given_ports(container, {}) is container


@pytest.mark.parametrize(
    ("ports", "published", "numbers"),
    [
        ([], ["0.0.0.0:5->80/tcp"], {}),
        (["0:80"], ["0.0.0.0:32768->80/tcp", "[::]:32768->80/tcp"], {"80": 32768}),
        (["0:80"], [], {}),  # it never came so far
        (["0:80/udp", "web=0:80"], ["0.0.0.0:1->80/tcp", "0.0.0.0:2->80/udp"], {"80": 2, "web": 1}),
        (["0:80", "0:80"], ["0.0.0.0:1->80/tcp", "0.0.0.0:2->80/tcp"], {"80": 1, "80-2": 2}),
        (["8081:80", "8080:80"], ["0.0.0.0:8080->80/tcp", "0.0.0.0:8081->80/tcp"], {"80": 8081, "80-2": 8080}),
        (["8000-8010:80"], ["0.0.0.0:8004->80/tcp"], {"80": 8004}),
        (["[::1]:0:80", "127.0.0.1:0:80"], ["127.0.0.1:1->80/tcp", "[::1]:2->80/tcp"], {"80": 2, "80-2": 1}),
        (["[::1]:0:80"], ["::1:2->80/tcp"], {"80": 2}),  # as Docker tells it
        ([GAME], ["0.0.0.0:9->2456/udp", "0.0.0.0:10->2457/udp", "0.0.0.0:11->2458/udp"], {"game": 9}),
        (["x=0:7/udp", "x=0:7/tcp"], ["0.0.0.0:1->7/tcp", "0.0.0.0:2->7/udp"], {"x": 2}),
    ],
)
def test_the_numbers_that_an_engine_gave(ports: list[object], published: list[str], numbers: dict[str, int]) -> None:
    assert seen_numbers(make_container(ports=ports), published) == numbers


@pytest.mark.parametrize(
    ("ports", "keys"),
    [
        ([], set()),
        (["0:80", "web=0:81"], {"80", "web"}),
        (["${{ args.port }}:8303/udp", "web=${{ args.port }}:1"], {"8303", "web"}),
        (["0:${{ args.port }}"], None),
        (["${{ args.port }}"], None),
        (["80/${{ args.protocol }}"], None),
    ],
)
def test_the_keys_of_ports_as_they_are_written(ports: list[str], keys: set[str] | None) -> None:
    assert keys_of(ports) == keys


def test_marks_are_taken_from_what_is_no_instance() -> None:
    ports = ["web=8080:80/tcp", "8303:8303/udp", "b=[::1]:1:2", "80"]
    assert without_marks(make_container(ports=ports)).ports == ["8080:80/tcp", "8303:8303/udp", "[::1]:1:2", "80"]


@pytest.mark.parametrize(
    ("port", "asks"), [("0:80=", True), ("a=0:80-81=/udp", True), ("a=0:80", False), ("80/udp", False)]
)
def test_same_number_is_seen(port: str, asks: bool) -> None:
    assert asks_same_number(port) is asks
