"""The agent is killed at every boundary of every order: nothing is started twice, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.state import Desired, InstanceState
from gamekeeper.domain.language.step import Strategy
from gamekeeper.ports.container_engine import ContainerStatus
from tests.agent_worker.instance.boundaries import BoundaryEngine
from tests.agent_worker.instance.node import KeptNode
from tests.hang import HANG_SECONDS

MOST_CALLS = 60  # more than any order takes


@dataclass(frozen=True)
class Case:
    """``order`` is given to an instance that is ready, or to none when ``is_first``; ``starts`` are all that there may
    be by then, ``ups`` the most that were up at once, and ``left`` those that still are. ``parts`` are of its spec."""

    starts: list[str]
    state: InstanceState = InstanceState.READY
    order: dict[str, Any] = field(default_factory=dict)
    is_first: bool = False
    ups: int = 1
    left: list[str] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict)


ONE, TWO = "gk-i-game-1", "gk-i-game-2"
BESIDE: dict[str, Any] = {"revision": 2, "strategy": Strategy.BLUE_GREEN}
NEVER_READY = {
    "ready": {"within": "50ms"},
    "container": {"healthcheck": {"test": ["CMD", "true"]}, "environment": {"DUMMY_HEALTHY_AFTER": "600"}},
}
CASES = {
    "create": Case([ONE], is_first=True, left=[ONE]),
    "stop": Case([ONE], InstanceState.STOPPED, {"desired": Desired.STOPPED}),
    "kill": Case([ONE], InstanceState.STOPPED, {"desired": Desired.STOPPED, "kill": True}),
    "restart": Case([ONE, ONE], order={"restart": True}, left=[ONE]),
    "update": Case([ONE, TWO], order={"revision": 2}, left=[TWO]),
    "blue_green": Case([ONE, TWO], order=BESIDE, ups=2, left=[TWO]),
    "blue_green-not-ready": Case([ONE, TWO], order=BESIDE, ups=2, left=[ONE], parts=NEVER_READY),
    "remove": Case([ONE], InstanceState.DELETED, {"desired": Desired.REMOVED}),
}


@pytest.fixture(autouse=True)
def _ready_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.instance.readiness.SETTLE_SECONDS", 0.0)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", CASES)
async def test_a_kill_at_every_boundary(name: str, after: bool, tmp_path: Path) -> None:
    for kill_at in range(1, MOST_CALLS):
        engine = BoundaryEngine("node-1", after=after)
        node = KeptNode(tmp_path / f"{kill_at}", engine).begin()
        if not await killed_at(kill_at, CASES[name], node, engine):
            assert kill_at > 3, "no boundary was met"
            return
    pytest.fail(f"{name} has more than {MOST_CALLS} boundaries")


async def killed_at(kill_at: int, case: Case, node: KeptNode, engine: BoundaryEngine) -> bool:
    """False when the order had ended before it came to that boundary."""
    if not case.is_first:
        await node.order()
    engine.calls, engine.kill_at = 0, kill_at
    order = node.next_order(**case.order, spec=node.spec(**case.parts))
    met = await killed_on_its_way(node, order, engine)
    engine.revive()
    node.begin()
    async with asyncio.timeout(HANG_SECONDS):
        outcome = await node.keeper.carry_out(order)
    assert outcome.status.state is case.state, kill_at
    assert engine.started == case.starts, kill_at
    assert engine.ups == case.ups
    assert outcome.status.crash_count == 0
    assert await running(engine) == case.left
    await node.kill()
    return met


@pytest.mark.parametrize("parts", [{}, NEVER_READY], ids=["ready", "never ready"])
async def test_the_engine_goes_down_at_every_boundary_of_a_change_side_by_side(
    parts: dict[str, Any], tmp_path: Path
) -> None:
    """One is up at the end: the new one, or after its failure the one before, which the workflow orders back."""
    for kill_at in range(1, MOST_CALLS):
        engine = BoundaryEngine("node-1", after=bool(kill_at % 2))
        node = KeptNode(tmp_path / f"{kill_at}", engine).begin()
        await node.order()
        engine.calls, engine.kill_at = 0, kill_at
        order = node.next_order(**BESIDE, spec=node.spec(**parts))
        met = await killed_on_its_way(node, order, engine)
        engine.go_down()
        engine.revive()
        node.begin()
        async with asyncio.timeout(HANG_SECONDS):
            outcome = await node.keeper.carry_out(order)
            if not outcome.is_ready:
                outcome = await node.order()
        assert outcome.is_ready
        assert await running(engine) == ([ONE] if parts else [TWO]), kill_at
        assert engine.ups <= 2
        await node.kill()
        if not met:
            assert kill_at > 3
            return


async def killed_on_its_way(node: KeptNode, order: InstanceOrder, engine: BoundaryEngine) -> bool:
    """Kills the agent at the engine's boundary; False when the order had ended before."""
    going = asyncio.create_task(node.keeper.carry_out(order))
    there = asyncio.create_task(engine.is_there.wait())
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.wait({going, there}, return_when=asyncio.FIRST_COMPLETED)
    met = engine.is_there.is_set()
    there.cancel()
    await node.kill()
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    return met


async def running(engine: BoundaryEngine) -> list[str]:
    return [info.name for info in await engine.list_instances() if info.status is ContainerStatus.RUNNING]


@pytest.mark.parametrize("end", ["crash", "clean"])
async def test_a_kill_at_every_boundary_of_an_end(end: str, tmp_path: Path) -> None:
    """A process that crashes is started once more for it, one that ends well never again."""
    ends: dict[str, Callable[[BoundaryEngine, str], Any]] = {
        "crash": lambda engine, found: BoundaryEngine.signal(engine, found, "SIGKILL"),
        "clean": lambda engine, found: engine.type_in(found, b"stop\n"),
    }
    for kill_at in range(1, MOST_CALLS):
        engine = BoundaryEngine("node-1", after=bool(kill_at % 2))
        node = KeptNode(tmp_path / f"{kill_at}", engine).begin()
        order = node.next_order(spec=node.spec({"DUMMY_STOP": "stop"}))
        outcome = await node.keeper.carry_out(order)
        await ends[end](engine, outcome.status.container_id)
        engine.calls, engine.kill_at = 0, kill_at
        met = await has_met(engine, node, end)
        await node.kill()
        engine.revive()
        node.begin()
        await settled(node, engine, end)
        assert engine.started == ([ONE, ONE] if end == "crash" else [ONE])
        await node.kill()
        if not met:
            assert kill_at > 1
            return


async def has_met(engine: BoundaryEngine, node: KeptNode, end: str) -> bool:
    """True when the boundary was met before all was settled."""
    there = asyncio.create_task(engine.is_there.wait())
    done = asyncio.create_task(settled(node, engine, end))
    await asyncio.wait({there, done}, return_when=asyncio.FIRST_COMPLETED)
    met = engine.is_there.is_set()
    for task in (there, done):
        task.cancel()
    await asyncio.gather(there, done, return_exceptions=True)
    return met


async def settled(node: KeptNode, engine: BoundaryEngine, end: str) -> None:
    crashed = end == "crash"
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            status = node.told[-1]
            if crashed and (status.state, status.crash_count, len(engine.started)) == (InstanceState.READY, 1, 2):
                return
            if not crashed and status.state is InstanceState.STOPPED:
                assert status.reason == "clean_exit"
                assert await running(engine) == []
                return
            await asyncio.sleep(0.005)
