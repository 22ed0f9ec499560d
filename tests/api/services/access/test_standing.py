"""Standing: a connection outlives its certificate only when the node has renewed it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from api.services.access.standing import GRACE, NodeCall, StandingService
from gamekeeper.certificates.node_name import NodeCertificate
from gamekeeper.errors import UnauthenticatedError
from tests.hang import HANG_SECONDS

START = datetime(2030, 1, 1, tzinfo=UTC)
CERTIFICATE = NodeCertificate("edge-1", 4, START + timedelta(hours=24))


class Directory:
    """One node."""

    def __init__(self) -> None:
        self.now: int | None = 4

    async def generation(self, node_id: str, at_least: int = 0) -> int | None:
        return self.now if node_id == "edge-1" else None


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


async def test_a_certificate_is_good_until_it_runs_out() -> None:
    clock = Clock()
    standing = StandingService(Directory(), clock)
    await standing.check(CERTIFICATE)
    clock.now = CERTIFICATE.not_after + GRACE
    await standing.check(CERTIFICATE)
    clock.now += timedelta(seconds=1)
    with pytest.raises(UnauthenticatedError, match="certificate of node edge-1 is void or ran out"):
        await standing.check(CERTIFICATE)


async def test_a_renewal_keeps_what_was_dialled_with_the_older_one() -> None:
    clock = Clock()
    standing = StandingService(Directory(), clock)
    standing.renewed("edge-1", CERTIFICATE.not_after + timedelta(hours=16))
    clock.now = CERTIFICATE.not_after + timedelta(hours=16)
    await standing.check(CERTIFICATE)
    clock.now += timedelta(hours=1)
    with pytest.raises(UnauthenticatedError):
        await standing.check(CERTIFICATE)


async def test_what_a_call_does_ends_when_its_certificate_is_void() -> None:
    directory = Directory()
    standing = StandingService(directory, Clock())
    ended: list[str] = []

    async def for_ever() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.append("generator")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def stream(call: NodeCall) -> None:
        async for item in call.stream(for_ever()):
            ended.append(f"item {item}")

    async with standing.held(CERTIFICATE) as call, asyncio.timeout(HANG_SECONDS):
        running = [asyncio.create_task(part) for part in (call.work(work()), stream(call))]
        await standing.watch()
        await asyncio.sleep(0)
        assert not call.over.is_set()
        directory.now = 5
        await standing.watch()
        for task in running:
            with pytest.raises(UnauthenticatedError):
                await task
    assert sorted(ended) == ["generator", "item 1", "work"]
    assert not standing._calls


async def test_work_that_ends_gives_its_result_or_error() -> None:
    async def result() -> int:
        return 5

    async def error() -> None:
        raise ValueError("its own")

    async def numbers() -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number

    async with StandingService(Directory(), Clock()).held(CERTIFICATE) as call:
        assert await call.work(result()) == 5
        with pytest.raises(ValueError, match="its own"):
            await call.work(error())
        assert [number async for number in call.stream(numbers())] == [0, 1, 2]


@pytest.mark.parametrize("generation", [None, 3, 5])
async def test_another_generation_is_void(generation: int | None) -> None:
    directory = Directory()
    standing = StandingService(directory, Clock())
    directory.now = generation
    with pytest.raises(UnauthenticatedError):
        await standing.check(CERTIFICATE)
