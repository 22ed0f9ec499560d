"""Apprise is an extra that tests have not: what has to be refused is refused before it is looked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from gamekeeper.channels.address import AddressGuard
from gamekeeper.channels.other import AppriseSender
from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec, ChannelType
from gamekeeper.domain.alarm.message import Message
from gamekeeper.domain.alarm.notice import NoticeKind
from gamekeeper.errors import MessageRefusedError

SPEC = ChannelSpec(type=ChannelType.APPRISE)
MESSAGE = Message(id="a1" * 16, kind=NoticeKind.RAISED, at=datetime(2026, 11, 2, tzinfo=UTC), title="a", text="b")


@pytest.mark.parametrize(
    "url", ["ntfys://localhost/x", "ntfys://[::1]/x", "ntfys://2130706433/x", "barks://127.0.0.1/x", "mmosts://10.1/x"]
)
async def test_a_host_within_is_refused_with_a_dot_or_without(url: str) -> None:
    with ThreadPoolExecutor(1) as threads, pytest.raises(MessageRefusedError, match="no public address"):
        await AppriseSender(AddressGuard(), threads).send(SPEC, ChannelSecret(url=url), MESSAGE)


async def test_an_address_that_was_kept_before_is_judged_all_the_same() -> None:
    secret = ChannelSecret(url="zulip://bot@games.evil.example/token")
    with ThreadPoolExecutor(1) as threads, pytest.raises(MessageRefusedError, match="the address is refused"):
        await AppriseSender(AddressGuard(), threads).send(SPEC, secret, MESSAGE)
