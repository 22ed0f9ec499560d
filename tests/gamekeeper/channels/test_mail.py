"""Mail by a server on loopback that takes some readers, all of them, or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest

from gamekeeper.channels.address import AddressGuard
from gamekeeper.channels.mail import MailSender
from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec, ChannelType
from gamekeeper.domain.alarm.message import Message
from gamekeeper.domain.alarm.notice import NoticeKind
from gamekeeper.errors import MessageRefusedError, UnavailableError
from tests.hang import HANG_SECONDS

A, B = "a@games.test", "b@games.test"
SPEC = ChannelSpec(type=ChannelType.MAIL, to=[A, B], sender="gamekeeper@games.test")
MESSAGE = Message(id="a1" * 16, kind=NoticeKind.RAISED, at=datetime(2026, 11, 2, tzinfo=UTC), title="Ü", text="b")


@pytest.fixture
def sender() -> Iterator[MailSender]:
    with ThreadPoolExecutor(1) as threads:
        yield MailSender(AddressGuard([ip_network("127.0.0.0/8")]), threads)


@asynccontextmanager
async def mail_server(readers: Mapping[str, bytes]) -> AsyncIterator[str]:
    """The address of a server that answers to these readers with these words, and takes all else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            word = line.decode().strip()
            answer = readers.get(word.lower().removeprefix("rcpt to:<").rstrip(">"), b"250 ok")
            if word == "data":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            writer.write(answer + b"\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def send(sender: MailSender, readers: Mapping[str, bytes]) -> str:
    async with asyncio.timeout(HANG_SECONDS), mail_server(readers) as url:
        return await sender.send(SPEC, ChannelSecret(url=url), MESSAGE)


async def test_all_readers_are_taken(sender: MailSender) -> None:
    assert await send(sender, {}) == "taken by the mail server"


async def test_a_reader_that_is_not_taken_is_noted(sender: MailSender) -> None:
    assert await send(sender, {A: b"550 nobody"}) == f"taken, but not for {A} (SMTP 550: nobody)"


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (b"550 nobody", b"551 gone", MessageRefusedError),
        (b"550 nobody", b"450 greylisted", UnavailableError),
        (b"451 later", b"450 greylisted", UnavailableError),
    ],
)
async def test_none_that_is_taken_is_final_where_no_later_try_can_help(
    sender: MailSender, first: bytes, second: bytes, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="none of the readers"):
        await send(sender, {A: first, B: second})
