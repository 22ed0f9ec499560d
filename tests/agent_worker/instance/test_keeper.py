"""The keeper carries orders out, and keeps what they ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.node.policy import Allowances, Rule
from gamekeeper.errors import PolicyError
from gamekeeper.ports.container_engine import ContainerStatus
from tests.agent_worker.instance.conftest import SETTLE_SECONDS
from tests.agent_worker.instance.node import KeptNode
from tests.factories import make_new_container, make_owner
from tests.hang import HANG_SECONDS

CRASHING = {"DUMMY_SLEEP": "0.01", "DUMMY_EXIT_CODE": "3"}


async def test_an_order_to_run_ends_ready(node: KeptNode, dummy: DummyEngine) -> None:
    outcome = await node.order()
    assert outcome.is_ready
    assert node.states == ["preparing", "starting", "ready"]
    assert dummy.starts_of("gk-i-game-1") == 1
    found = await dummy.find("gk-i-game-1")
    assert found is not None
    assert outcome.status.container_id == found.id


async def test_the_same_order_again_waits_for_the_same_end(node: KeptNode, dummy: DummyEngine) -> None:
    order = node.next_order()
    first, second = await asyncio.gather(node.keeper.carry_out(order), node.keeper.carry_out(order))
    assert first == second == await node.keeper.carry_out(order)
    assert dummy.starts_of("gk-i-game-1") == 1


async def test_an_older_order_is_refused(node: KeptNode) -> None:
    older = node.next_order()
    await node.order()
    with pytest.raises(PolicyError, match="an older order"):
        await node.keeper.carry_out(older)


async def test_the_node_judges_by_who_wrote_the_revision(node: KeptNode) -> None:
    """An order of a control plane that names nobody meets no rule with a caller."""
    node.policy.rules = [Rule(caller="key:ann", allow=Allowances(privileged=True))]
    spec = node.spec(container={"privileged": True})
    for number, (caller, reason) in enumerate([("key:eva", "policy"), ("", "policy"), ("key:ann", None)], start=1):
        outcome = await node.order(revision=number, spec=spec, by="key:ann", caller=caller)
        assert (outcome.status.reason, outcome.is_ready) == (reason, reason is None)


async def test_stop_and_start_use_the_same_container(node: KeptNode, dummy: DummyEngine) -> None:
    await node.order()
    stopped = await node.order(Desired.STOPPED)
    assert (stopped.status.state, stopped.status.exit_code) == (InstanceState.STOPPED, 143)
    assert (await node.order()).is_ready
    assert dummy.starts_of("gk-i-game-1") == 2
    assert node.told[-1].crash_count == 0


async def test_a_restart_starts_once_more(node: KeptNode, dummy: DummyEngine) -> None:
    await node.order()
    assert (await node.order(restart=True)).is_ready
    assert dummy.starts_of("gk-i-game-1") == 2


async def test_an_update_makes_the_new_container_before_the_old_one_stops(node: KeptNode, dummy: DummyEngine) -> None:
    await node.order()
    outcome = await node.order(revision=2)
    assert (outcome.is_ready, outcome.status.revision) == (True, 2)
    made, stopped = await dummy.find("gk-i-game-2"), [item for item in node.told if item.state == "stopping"]
    assert made is not None
    assert made.created_at is not None
    assert made.created_at < stopped[0].since
    async with asyncio.timeout(HANG_SECONDS):
        while await dummy.find("gk-i-game-1") is not None:
            await asyncio.sleep(0.01)


async def test_revisions_without_a_container_are_forgotten(node: KeptNode, dummy: DummyEngine) -> None:
    for revision in range(1, 5):
        await node.order(revision=revision)
    kept = node.keeper._kept["game"]
    async with asyncio.timeout(HANG_SECONDS):
        while kept.memory.revisions != [4]:
            await asyncio.sleep(0.01)
    assert [info.name for info in await dummy.list_instances()] == ["gk-i-game-4"]
    assert (await node.order(revision=5)).is_ready
    assert set(node.keeper._by_name) == {"gk-i-game-4", "gk-i-game-5"}


async def test_an_update_that_cant_be_made_leaves_the_old_one_running(node: KeptNode, dummy: DummyEngine) -> None:
    await node.order()
    outcome = await node.order(revision=2, spec=node.spec(container={"image": "missing"}))
    assert not outcome.is_ready
    status = outcome.status
    assert (status.state, status.revision, status.reason) == (InstanceState.READY, 1, InstanceReason.PULL_FAILED)
    assert dummy.starts_of("gk-i-game-1") == 1


async def test_a_kill_passes_the_ladder(node: KeptNode) -> None:
    deaf = node.spec({"DUMMY_IGNORES": "SIGTERM"}, stop={"grace": "1h"})
    await node.order(spec=deaf)
    stopping = asyncio.create_task(node.keeper.carry_out(node.next_order(Desired.STOPPED, spec=deaf)))
    await node.until_state(InstanceState.STOPPING)
    killed = await node.order(Desired.STOPPED, spec=deaf, kill=True)
    assert (killed.status.state, killed.status.exit_code) == (InstanceState.STOPPED, 137)
    assert (await stopping).status.state in (InstanceState.STOPPED, InstanceState.STOPPING)


async def test_a_removal_leaves_nothing(node: KeptNode, dummy: DummyEngine) -> None:
    await node.order()
    outcome = await node.order(Desired.REMOVED, volumes=True)
    assert outcome.status.state is InstanceState.DELETED
    assert await dummy.list_instances() == []
    older = node.next_order().model_copy(update={"serial": 1})
    with pytest.raises(PolicyError):
        await node.keeper.carry_out(older)


async def test_a_removal_with_volumes_takes_only_its_own(node: KeptNode, dummy: DummyEngine) -> None:
    volumes = {"volumes": ["data:/data", "gk-p-build-cache:/cache", "/made"]}
    for name in ("game-1", "game"):
        node.serial, spec = 0, node.spec(container=volumes)
        await node.order(instance=name, spec=spec)
    await node.order(revision=2, spec=node.spec())
    assert dummy.own_volumes == {"gk-i-game.data": "game", "gk-i-game-1.data": "game-1"}
    await node.order(Desired.REMOVED, volumes=True)
    assert dummy.own_volumes == {"gk-i-game-1.data": "game-1"}
    node.serial = 1
    await node.order(Desired.REMOVED, instance="game-1", spec=spec)
    assert dummy.own_volumes == {"gk-i-game-1.data": "game-1"}


async def test_a_volume_that_somebody_has_stays_and_is_told(node: KeptNode, dummy: DummyEngine) -> None:
    """The words say how it is removed by hand; a removal that is ordered again takes it."""
    spec = node.spec(container={"volumes": ["data:/data", "maps:/maps"]})
    await node.order(spec=spec)
    borrower = make_new_container(make_owner(), image="image", volumes=["gk-i-game.data:/theirs"])
    borrowing = await dummy.create(borrower)
    gone = (await node.order(Desired.REMOVED, spec=spec, volumes=True)).status
    assert (gone.state, gone.reason) == (InstanceState.DELETED, InstanceReason.ENGINE)
    assert gone.message == (
        f"volume gk-i-game.data stays: container {borrower.owner.key.container_name} has it; "
        "when nothing has it, on node-1: docker volume rm gk-i-game.data"
    )
    assert set(dummy.own_volumes) == {"gk-i-game.data"}
    await dummy.remove(borrowing)
    again = (await node.order(Desired.REMOVED, spec=spec, volumes=True)).status
    assert (again.state, again.reason, again.message) == (InstanceState.DELETED, None, "")
    assert dummy.own_volumes == {}


async def test_a_crash_is_started_again(node: KeptNode, dummy: DummyEngine) -> None:
    await node.order(spec=node.spec({"DUMMY_IGNORES": "none"}))
    found = await dummy.find("gk-i-game-1")
    assert found is not None
    await dummy.signal(found.id, "SIGKILL")
    status = await node.until(lambda status: status.state is InstanceState.READY and status.crash_count == 1)
    assert status.reason is None
    assert dummy.starts_of("gk-i-game-1") == 2


@pytest.mark.usefixtures("never_ready")
async def test_a_crash_loop_ends_with_its_last_lines(node: KeptNode) -> None:
    spec = node.spec(CRASHING | {"DUMMY_OUTPUT": "loading\n\x1b[31mno map\x1b[0m\n"}, restart={"attempts": 1})
    outcome = await node.order(spec=spec)
    status = outcome.status
    assert (status.state, status.reason, status.crash_count) == (InstanceState.CRASH_LOOP, InstanceReason.EXIT_CODE, 2)
    assert "exit code 3" in status.message
    assert status.message.endswith('its last lines: "loading", "no map", "loading", "no map"')


@pytest.mark.usefixtures("never_ready")
async def test_an_order_that_crashes_for_all_its_time_has_failed_and_is_tried_on(node: KeptNode) -> None:
    """The delays between its starts are part of the time, whose end does not wait for the next one."""
    spec = node.spec(CRASHING, restart={"attempts": 50}, ready={"within": "1m"})
    node.on_told = lambda status: setattr(node, "ahead", 40.0 * status.crash_count)
    outcome = await node.order(spec=spec)
    status = outcome.status
    assert (status.state, status.reason) == (InstanceState.FAILED, InstanceReason.UNHEALTHY)
    assert status.message == "it was not ready within 1m: it ended with exit code 3; it is started again"
    node.ahead += 300
    node.keeper._kept["game"].stir()
    again = await node.until(lambda later: later.crash_count > status.crash_count)
    assert again.crash_count == status.crash_count + 1


async def test_a_crash_after_it_was_ready_is_no_failure_of_the_order(node: KeptNode, dummy: DummyEngine) -> None:
    await node.order(spec=node.spec(ready={"within": "1m"}))
    for crashes in (1, 2, 3):
        found = await dummy.find("gk-i-game-1")
        assert found is not None
        node.ahead += 100
        await dummy.signal(found.id, "SIGKILL")
        node.keeper._kept["game"].stir()
        if crashes > 1:
            await node.until(is_with(InstanceState.RESTARTING, crashes))
            node.ahead += 10
            node.keeper._kept["game"].stir()
        await node.until(is_with(InstanceState.READY, crashes))
    assert "failed" not in node.states


def is_with(state: InstanceState, crashes: int) -> Callable[[InstanceStatus], bool]:
    return lambda status: (status.state, status.crash_count) == (state, crashes)


@pytest.mark.usefixtures("never_ready")
async def test_a_clean_end_is_a_stop(node: KeptNode) -> None:
    outcome = await node.order(spec=node.spec({"DUMMY_SLEEP": "0.01"}))
    status = outcome.status
    assert (status.state, status.reason, status.exit_code) == (InstanceState.STOPPED, InstanceReason.CLEAN_EXIT, 0)


@pytest.mark.usefixtures("never_ready")
@pytest.mark.parametrize("environment", [{"DUMMY_SLEEP": "0.01"}, CRASHING], ids=["clean", "crash"])
async def test_what_is_over_stays_so_when_its_order_is_repeated(
    node: KeptNode, dummy: DummyEngine, environment: dict[str, str]
) -> None:
    order = node.next_order(spec=node.spec(environment, restart={"attempts": 1}))
    first = await node.keeper.carry_out(order)
    starts = dummy.starts_of("gk-i-game-1")
    assert (await node.keeper.carry_out(order)).status.state is first.status.state
    await node.kill()
    node.begin()
    assert (await node.keeper.carry_out(order)).status.state is first.status.state
    assert dummy.starts_of("gk-i-game-1") == starts


async def test_what_ended_after_it_was_seen_is_not_told_ready(
    node: KeptNode, dummy: DummyEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook after its start, or a busy machine, comes between the look and the judgement."""

    followed: list[str] = []

    def ends(_: object, container_id: str, **__: bool) -> None:
        followed.append(container_id)
        container = dummy._by_id[container_id]
        if len(followed) == 2 and container.info.started_at is not None:  # by the start, and by the judgement
            while (datetime.now(UTC) - container.info.started_at).total_seconds() < 2 * SETTLE_SECONDS:
                pass  # it stays up for long enough, unseen
            container.stop(3)

    monkeypatch.setattr(node.logs, "follow", ends)
    outcome = await node.order(spec=node.spec(restart={"policy": "no"}))
    assert (outcome.status.state, "ready" in node.states) == (InstanceState.FAILED, False)


async def test_a_killed_agent_goes_on_without_a_start(node: KeptNode, dummy: DummyEngine) -> None:
    order = node.next_order()
    await node.keeper.carry_out(order)
    await node.kill()
    node.begin()
    assert (await node.keeper.carry_out(order)).is_ready
    assert dummy.starts_of("gk-i-game-1") == 1


async def test_what_ended_while_no_agent_was_there_is_started_again(node: KeptNode, dummy: DummyEngine) -> None:
    await node.order()
    await node.kill()
    dummy.go_down()
    node.begin()
    async with asyncio.timeout(HANG_SECONDS):
        while dummy.starts_of("gk-i-game-1") < 2:
            await asyncio.sleep(0.01)
    assert node.told[-1].crash_count == 0


async def test_a_container_removed_by_hand_is_made_again(node: KeptNode, dummy: DummyEngine) -> None:
    await node.order()
    found = await dummy.find("gk-i-game-1")
    assert found is not None
    await dummy.remove(found.id)
    await node.until(lambda status: status.reason is InstanceReason.REMOVED_OUTSIDE)
    await node.until(lambda status: status.state is InstanceState.READY and status.crash_count == 1)
    made = await dummy.find("gk-i-game-1")
    assert made is not None
    assert made.status is ContainerStatus.RUNNING
    assert [str(key) for key in node.logs.begun_anew] == ["i:game/1"] * 2
