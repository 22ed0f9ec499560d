"""Thousands of clients that send slowly, and hundreds that do not read, against the api of a real stack."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.fixtures.stack import Stack
from tests.hang import HANG_SECONDS

SLOW = 2000
FOLLOWERS = 500
GROWTH_BYTES = 100 * 1024 * 1024
OPEN_FILES = 8192
ATTACKER = "127.0.0.2"  # an address of this machine, and not that of those who ask meanwhile


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Target:
    def __init__(self, stack: Stack) -> None:
        found = stack.status()["api"]
        url = urlsplit(found["url"])
        self.url, self.host, self.port = found["url"], str(url.hostname), url.port or 0
        self.key = Path(found["key_file"]).read_text().strip()
        self.process = psutil.Process(found["pid"])
        self.before = self.memory()

    def memory(self) -> int:
        return int(self.process.memory_info().rss)

    @property
    def head(self) -> str:
        return f"Host: x\r\nAuthorization: Bearer {self.key}\r\n"

    async def open(self, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(HANG_SECONDS):
            reader, writer = await asyncio.open_connection(self.host, self.port, local_addr=(ATTACKER, 0))
            writer.write(text.encode())
            return reader, writer

    async def drip(self, text: str) -> bool:
        """Sends the beginning, then a byte now and then, for as long as the server takes them; True when it ended."""
        reader, writer = await self.open(text)
        reading = asyncio.create_task(reader.read())
        async with asyncio.timeout(HANG_SECONDS):
            while not reading.done():
                writer.write(b"1\r\na\r\n" if "chunked" in text else b"a")
                await asyncio.wait({reading}, timeout=1)
        writer.transport.abort()
        await asyncio.wait({reading})
        reading.exception()  # a reset is an end as well
        return True


async def asked_meanwhile(target: Target, work: asyncio.Future[list[bool]]) -> int:
    """Asks as others do, until the work is done; how many answers there were."""
    answers = 0
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {target.key}"}, timeout=HANG_SECONDS) as client:
        while not work.done():
            assert (await client.get(f"{target.url}/api/v1/nodes")).status_code == 200
            answers += 1
            await asyncio.sleep(0.1)
    return answers


@pytest.mark.parametrize(
    "beginning",
    ["GET /livez HTTP/1.1\r\nX-", "POST /api/v1/runs HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n"],
    ids=["headers", "bodies"],
)
async def test_thousands_of_slow_clients_are_ended_and_cost_little(stack: Stack, beginning: str) -> None:
    target = Target(stack)
    text = beginning.replace("{head}", target.head)
    work = asyncio.gather(*[target.drip(text) for _ in range(SLOW)])
    assert await asked_meanwhile(target, work) > 0
    assert all(await work)
    assert target.memory() - target.before < GROWTH_BYTES


async def test_followers_that_do_not_read_cost_nobody_anything(stack: Stack) -> None:
    """They follow the events from the first one on."""
    target = Target(stack)
    text = f"GET /api/v1/events?follow=true HTTP/1.1\r\n{target.head}Last-Event-ID: 1\r\n\r\n"
    opened = [await target.open(text) for _ in range(FOLLOWERS)]

    async def long_enough() -> list[bool]:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {target.key}"}) as client:
            for number in range(50):  # each is an event for each of them
                body = {"description": f"{number}".zfill(500)}
                answer = await client.patch(f"{target.url}/api/v1/nodes/{stack.node}", json=body, timeout=HANG_SECONDS)
                assert answer.status_code == 200, answer.text
        return []

    work: asyncio.Future[list[bool]] = asyncio.ensure_future(long_enough())
    assert await asked_meanwhile(target, work) > 0
    await work
    assert target.memory() - target.before < GROWTH_BYTES
    for _, writer in opened:
        writer.transport.abort()


async def test_a_body_of_single_bytes_is_refused_early(stack: Stack) -> None:
    target = Target(stack)
    reader, writer = await target.open(
        f"POST /api/v1/runs HTTP/1.1\r\n{target.head}Transfer-Encoding: chunked\r\n\r\n" + "1\r\na\r\n" * 200_000
    )
    answer = await asyncio.wait_for(reader.readline(), HANG_SECONDS)
    assert b" 400 " in answer
    writer.transport.abort()
