"""The engine is away: that is told, and what could not be looked for is looked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import ContainerInfo
from tests.agent_worker.instance.node import KeptNode
from tests.hang import HANG_SECONDS


class AwayEngine(DummyEngine):
    """``is_away``: it answers nothing. ``is_odd``: it answers what nobody understands."""

    is_away = is_odd = False

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        self._check()
        return await super().find(name_or_id)

    async def list_instances(self) -> Sequence[ContainerInfo]:
        self._check()
        return await super().list_instances()

    def _check(self) -> None:
        if self.is_away:
            raise UnavailableError("Docker does not answer")
        if self.is_odd:
            raise KeyError("State")


@pytest.fixture
def dummy() -> AwayEngine:
    return AwayEngine("node-1")


async def test_an_engine_that_stays_away_is_told_once(node: KeptNode, dummy: AwayEngine) -> None:
    ready = (await node.order()).status
    kept = node.keeper._kept["game"]
    dummy.is_away = True
    kept.stir()
    async with asyncio.timeout(HANG_SECONDS):
        while kept._trouble_from is None:
            await asyncio.sleep(0.01)
    assert node.told[-1] == ready
    node.ahead += 20
    told = await node.until(lambda status: status.reason is InstanceReason.ENGINE)
    assert told == ready.model_copy(
        update={"reason": InstanceReason.ENGINE, "message": "Docker does not answer", "seq": told.seq}
    )
    dummy.is_away = False
    kept.stir()
    again = await node.until(lambda status: status.seq > told.seq)
    assert (again.state, again.reason, again.message) == (InstanceState.READY, None, "")
    assert dummy.starts_of("gk-i-game-1") == 1


async def test_strays_are_looked_for_until_the_engine_answers(
    node: KeptNode, dummy: AwayEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The journal was lost, and an order came before the engine could tell of the container of an older revision."""
    monkeypatch.setattr("agent_worker.instance.keeper.STRAYS_SECONDS", 0.01)
    await node.order()
    await node.kill()
    dummy.is_away = True
    node.folder = tmp_path / "another"
    node.folder.mkdir()
    node.begin()
    ordered = asyncio.create_task(node.order(revision=2))
    async with asyncio.timeout(HANG_SECONDS):
        while not node.keeper.keeps("game"):
            await asyncio.sleep(0.01)
    dummy.is_away = False
    await ordered
    async with asyncio.timeout(HANG_SECONDS):
        while await dummy.find("gk-i-game-1") is not None:
            await asyncio.sleep(0.01)
    await node.order(Desired.REMOVED, revision=2)
    assert await dummy.list_instances() == []


async def test_an_error_of_the_keeper_is_told_and_ends_no_care(node: KeptNode, dummy: AwayEngine) -> None:
    ready = (await node.order()).status
    kept = node.keeper._kept["game"]
    dummy.is_odd = True
    kept.stir()
    async with asyncio.timeout(HANG_SECONDS):
        while kept._trouble_from is None:
            await asyncio.sleep(0.01)
    node.ahead += 20
    told = await node.until(lambda status: status.reason is InstanceReason.INTERNAL)
    assert (told.state, told.message) == (
        ready.state,
        "the agent fails at it (KeyError) and tries again; its log says more",
    )
    dummy.is_odd = False
    kept.stir()
    again = await node.until(lambda status: status.seq > told.seq)
    assert (again.state, again.reason) == (InstanceState.READY, None)
