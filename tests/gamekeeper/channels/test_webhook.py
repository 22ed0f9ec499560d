"""Webhooks against a real receiver on loopback: signed, bounded, and never led elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from gamekeeper.channels.address import AddressGuard, parse_networks
from gamekeeper.channels.webhook import WebhookSender
from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec, ChannelType
from gamekeeper.domain.alarm.message import Message
from gamekeeper.domain.alarm.notice import NoticeKind
from gamekeeper.errors import InvalidError, MessageRefusedError, UnavailableError
from tests.fixtures.receiver import Receiver, receiving
from tests.hang import HANG_SECONDS

SPEC = ChannelSpec(type=ChannelType.WEBHOOK)
MESSAGE = Message(id="a1" * 16, kind=NoticeKind.RAISED, at=datetime(2026, 11, 2, tzinfo=UTC), title="Ü", text="b")
LOOPBACK = AddressGuard([ip_network("127.0.0.0/8")])


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def send(receiver: Receiver, guard: AddressGuard = LOOPBACK, **limits: float) -> str:
    sender = WebhookSender(guard, now=lambda: 1_700_000_000.9, **limits)
    async with asyncio.timeout(HANG_SECONDS):
        return await sender.send(SPEC, ChannelSecret(url=receiver.url, key="whsec_k"), MESSAGE)


async def test_a_receiver_can_check_who_sent_it_and_throw_a_second_one_away(receiver: Receiver) -> None:
    assert await send(receiver) == "HTTP 204"
    (request,) = receiver.requests
    headers, body = request.headers, request.body
    assert request.line == "POST /hook?token=s3cret HTTP/1.1"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["gamekeeper-delivery"] == MESSAGE.id
    assert headers["gamekeeper-timestamp"] == "1700000000"
    expected = hmac.new(b"whsec_k", b"1700000000." + body, hashlib.sha256).hexdigest()
    assert headers["gamekeeper-signature"] == f"v1={expected}"
    assert json.loads(body)["title"] == "Ü"
    assert json.loads(body)["event"] == "raised"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            MessageRefusedError,
            "redirect",
        ),
        (
            b"HTTP/1.1 307 x\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
            MessageRefusedError,
            "redirect",
        ),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", MessageRefusedError, "HTTP 404"),
        (b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n", UnavailableError, "HTTP 429"),
        (b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", UnavailableError, "HTTP 500"),
        (b"nonsense\r\n\r\n", UnavailableError, "RemoteProtocolError"),
        (b"", UnavailableError, "RemoteProtocolError"),
    ],
)
async def test_an_answer_is_final_or_may_pass(
    receiver: Receiver, answer: bytes, kind: type[Exception], words: str
) -> None:
    receiver.answer = answer
    with pytest.raises(kind, match=words):
        await send(receiver)
    assert len(receiver.requests) == 1


async def test_a_receiver_that_hangs_is_left(receiver: Receiver) -> None:
    receiver.answer = None
    with pytest.raises(UnavailableError, match="no answer in"):
        await send(receiver, limit=0.2)


async def test_an_answer_without_an_end_is_read_a_little(receiver: Receiver) -> None:
    receiver.answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000
    assert await send(receiver) == "HTTP 200"


async def test_an_address_that_is_not_public_is_never_connected_to(receiver: Receiver) -> None:
    with pytest.raises(MessageRefusedError, match=r"127\.0\.0\.1, which is no public address"):
        await send(receiver, AddressGuard())
    assert receiver.requests == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fd00::1", "ff02::1", "::", "::ffff:10.0.0.1"),
        *("::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
        *("::127.0.0.1", "fec0::1", "64:ff9b:1::1", "::ffff:0:10.0.0.1", "5f00::1", "2002:a00:1::", "168.63.129.16"),
        *("::ffff:168.63.129.16", "64:ff9b::a83f:8110"),
    ],
)
def test_addresses_within_are_refused_in_whatever_dress(address: str) -> None:
    assert not AddressGuard().allows(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressGuard().allows(ip_address(address))


async def test_an_address_where_nobody_answers_gives_way_to_the_next(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    ask, both = loop.getaddrinfo, _answers("127.0.0.2", "127.0.0.1")  # the receiver listens at the second alone

    async def answers(host: str, port: int, **more: Any) -> object:
        return await (both(host, port) if host == "games.test" else ask(host, port, **more))

    monkeypatch.setattr(loop, "getaddrinfo", answers)
    secret = ChannelSecret(url=f"http://games.test:{receiver.port}/")
    async with asyncio.timeout(HANG_SECONDS):
        assert await WebhookSender(LOOPBACK).send(SPEC, secret, MESSAGE) == "HTTP 204"


async def test_a_200_whose_body_never_ends_is_taken(receiver: Receiver) -> None:
    receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"
    receiver.hangs_after = True
    assert await send(receiver, limit=HANG_SECONDS) == "HTTP 200"
    assert len(receiver.requests) == 1


async def test_a_name_with_a_good_and_a_bad_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Callable[..., Awaitable[object]] = _answers("8.8.8.8", "10.0.0.1")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answers)
    with pytest.raises(MessageRefusedError, match=r"10\.0\.0\.1"):
        await AddressGuard().resolve("rebind.test", 443)


async def test_what_was_judged_is_what_is_connected_to(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name means another address at the second question, which nobody asks."""
    questions = []

    async def once(host: str, port: int, **_: object) -> object:
        questions.append(host)
        return [(2, 1, 6, "", ("127.0.0.1" if len(questions) == 1 else "127.0.0.9", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", once)
    url = f"http://games.test:{receiver.port}/"
    async with asyncio.timeout(HANG_SECONDS):
        await WebhookSender(LOOPBACK).send(SPEC, ChannelSecret(url=url), MESSAGE)
    assert receiver.requests[-1].headers["host"] == f"games.test:{receiver.port}"
    assert questions[0] == "games.test"
    assert "games.test" not in questions[1:]


def test_networks_that_are_none_are_told() -> None:
    assert len(parse_networks(" 10.0.0.0/8, fd00::/8 ,")) == 2
    with pytest.raises(InvalidError, match="GAMEKEEPER_CHANNEL_NETWORKS"):
        parse_networks("10.0.0.1/8")


def _answers(*addresses: str) -> Callable[..., Awaitable[object]]:
    async def getaddrinfo(_host: str, port: int, **_: object) -> object:
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    return getaddrinfo
