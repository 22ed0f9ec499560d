"""A schedule's line reaches the console of what runs, and at most once, whatever becomes of the agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_worker.dummy_engine import DummyEngine
from agent_worker.instance.console_line import MAX_REMEMBERED
from gamekeeper.domain.instance.schedule import ConsoleLine
from gamekeeper.domain.instance.state import Desired
from gamekeeper.errors import ConflictError, NotFoundError, PolicyError, UnavailableError
from tests.agent_worker.instance.node import KeptNode
from tests.agent_worker.instance.test_on_docker import READER, server
from tests.hang import HANG_SECONDS


class Listening(DummyEngine):
    """``heard`` is what was typed; while ``is_deaf`` the engine breaks off, and while ``hangs`` it does not answer."""

    def __init__(self) -> None:
        super().__init__("node-1")
        self.heard: list[str] = []
        self.is_deaf = False
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.asked = asyncio.Event()

    async def type_in(self, container_id: str, data: bytes) -> None:
        await super().type_in(container_id, data)
        self.asked.set()
        await self.hangs.wait()
        if self.is_deaf:
            raise UnavailableError("the console took no input")
        self.heard.append(data.decode())


@pytest.fixture
def engine() -> Listening:
    return Listening()


@pytest.fixture
async def listening(tmp_path: Path, engine: Listening) -> AsyncIterator[KeptNode]:
    node = KeptNode(tmp_path, engine).begin()
    yield node
    await node.kill()


def line(number: int = 1, schedule: str = "warn", instance: str = "game") -> ConsoleLine:
    return ConsoleLine(
        instance=instance, node="node-1", schedule=schedule, number=number, text=f"say {schedule} {number}"
    )


async def test_a_line_reaches_what_runs(listening: KeptNode, engine: Listening) -> None:
    await listening.order()
    await listening.keeper.type_in(line())
    await listening.order(revision=2)
    await listening.keeper.type_in(line(2))
    assert engine.heard == ["say warn 1\n", "say warn 2\n"]


async def test_a_line_is_typed_once(listening: KeptNode, engine: Listening) -> None:
    """The same one, also after a restart and an update; an older one; and two of the same at once."""
    await listening.order()
    same = await asyncio.gather(*[listening.keeper.type_in(line(5)) for _ in range(2)], return_exceptions=True)
    assert [type(end) for end in same] == [type(None), ConflictError]
    await listening.order(restart=True)
    await listening.order(revision=2)
    await listening.kill()
    listening.begin()
    with pytest.raises(ConflictError, match="may have been typed"):
        await listening.keeper.type_in(line(5))
    with pytest.raises(PolicyError, match="an older line"):
        await listening.keeper.type_in(line(4))
    await listening.keeper.type_in(line(4, "other"))
    assert engine.heard == ["say warn 5\n", "say other 4\n"]


async def test_a_kill_while_it_types_leaves_no_second_one(listening: KeptNode, engine: Listening) -> None:
    await listening.order()
    engine.hangs.clear()
    typing = asyncio.create_task(listening.keeper.type_in(line()))
    await asyncio.wait_for(engine.asked.wait(), HANG_SECONDS)
    typing.cancel()
    await asyncio.gather(typing, return_exceptions=True)
    await listening.kill()
    engine.hangs.set()
    listening.begin()
    with pytest.raises(ConflictError, match="interrupted"):
        await listening.keeper.type_in(line())
    assert engine.heard == []


async def test_a_console_that_breaks_off_is_told_and_not_asked_again(listening: KeptNode, engine: Listening) -> None:
    await listening.order()
    engine.is_deaf = True
    with pytest.raises(ConflictError, match="takes no input"):
        await listening.keeper.type_in(line())


async def test_what_does_not_run_takes_no_line(listening: KeptNode, engine: Listening) -> None:
    with pytest.raises(NotFoundError, match="keeps no instance other"):
        await listening.keeper.type_in(line(instance="other"))
    await listening.order()
    await listening.order(Desired.STOPPED)
    with pytest.raises(ConflictError, match="does not run"):
        await listening.keeper.type_in(line())
    await listening.order()
    await listening.keeper.type_in(line())  # it was not used up
    assert engine.heard == ["say warn 1\n"]


async def test_numbers_of_schedules_that_are_long_gone_are_forgotten(listening: KeptNode) -> None:
    await listening.order()
    for number in range(1, MAX_REMEMBERED + 5):
        await listening.keeper.type_in(line(number, f"s-{number}"))
    assert len(listening.keeper._kept["game"].memory.typed) == MAX_REMEMBERED


async def test_a_line_on_a_real_console(docker_node: KeptNode) -> None:
    node = docker_node
    await node.order(spec=server(node, READER))
    await node.keeper.type_in(line(instance=node.instance))
    found = (await node.found()).id
    async with asyncio.timeout(HANG_SECONDS):
        while not (told := await node.engine.last_log_lines(found, 1)):
            await asyncio.sleep(0.02)
    assert told[0].data == b"got say warn 1\n"
