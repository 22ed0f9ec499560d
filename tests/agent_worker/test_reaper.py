"""The last step of a container's life, on a node whose control plane says what becomes of each container."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_worker import reaper as reaper_module
from agent_worker import removals
from agent_worker.dummy_engine import DummyEngine
from agent_worker.journal import SqliteJournal
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.spool import Spool
from agent_worker.reaper import Reaper
from gamekeeper.domain.container.container_key import ContainerKey, StepKey
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus
from gamekeeper.rpc.convert import key_from_pb, key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.factories import make_key, make_new_container, make_owner, make_run_id
from tests.hang import HANG_SECONDS
from tests.told import told

KEEP, REMOVE, STOP = pb.VERDICT_KEEP, pb.VERDICT_REMOVE, pb.VERDICT_STOP


class OddEngine(DummyEngine):
    """Can't remove the containers named in ``stuck``: it refuses, or with ``hangs`` never answers."""

    def __init__(self) -> None:
        super().__init__("node-1")
        self.stuck: set[str] = set()
        self.hangs = False
        self.tried: list[str] = []
        self.looks_at_mounts: asyncio.Queue[bool] = asyncio.Queue()
        self.is_away = False

    async def sweep_consoles(self) -> None:
        if self.is_away:
            raise UnavailableError("the engine is away")

    async def release_host_folders(self) -> None:
        self.looks_at_mounts.put_nowait(self.is_away)
        if self.is_away:
            raise UnavailableError("the engine is away")

    async def remove(self, container_id: str) -> None:
        self.tried.append(container_id)
        if container_id in self.stuck:
            if self.hangs:
                await asyncio.Event().wait()
            raise UnavailableError("device or resource busy")
        await super().remove(container_id)


class ControlPlane:
    """Answers reports in the place of the api: every container is to go, as long as nothing else is said."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.connected.set()
        self.calls = self
        self.verdicts: dict[str, pb.Verdict.ValueType] = {}
        self.reports: asyncio.Queue[pb.ReportContainersRequest] = asyncio.Queue()
        self.last = pb.ReportContainersRequest()
        self.over: list[ContainerKey] = []
        self.unknown_runs: list[str] = []

    async def report_containers(self, request: pb.ReportContainersRequest) -> pb.ReportContainersResponse:
        self.last = request
        self.reports.put_nowait(request)
        return pb.ReportContainersResponse(
            verdicts=[
                pb.ContainerVerdict(id=item.id, verdict=self.verdicts.get(item.id, REMOVE if item.ended else STOP))
                for item in request.containers
            ],
            unknown_runs=[run for run in self.unknown_runs if run in request.run_resources],
            over=[key_to_pb(key) for key in self.over],
        )


class Node:
    """An agent's parts around a dummy engine."""

    def __init__(self, folder: Path) -> None:
        self.engine = OddEngine()
        self.plane = ControlPlane()
        self.spool = Spool(folder / "spool.db", reserve_bytes=0)
        self.journal = SqliteJournal(folder / "journal.db")
        self.logs = LogFollower(self.engine, self.spool)
        link: Any = self.plane
        self.reaper = Reaper(self.engine, link, self.spool, self.journal, self.logs)
        self.uploaded: list[ContainerKey] = []

    async def container(self, *, sleep: str = "0", started: bool = True, **owner: Any) -> tuple[StepKey, str]:
        key: StepKey = owner.setdefault("key", make_key())
        new = make_new_container(make_owner(**owner), environment={"DUMMY_SLEEP": sleep, "DUMMY_OUTPUT": "a line"})
        container_id = await self.engine.create(new)
        if started:
            await self.engine.start(container_id)
            if sleep == "0":
                await self.engine.wait(container_id)
        return key, container_id

    async def round(self) -> None:
        """A report, all that follows from it, and an upload of what is in the spool."""
        await self.reaper._round()
        tasks = [case.task for case in self.reaper._removals._cases.values() if case.task is not None]
        async with asyncio.timeout(HANG_SECONDS):
            await asyncio.gather(*tasks)
        self.upload()

    def upload(self) -> None:
        for chunk in self.spool.pending(10**9):
            self.uploaded.append(chunk.key)
            self.spool.acknowledge({chunk.key: chunk.last_seq}, chunk.life)

    async def names(self) -> set[str]:
        return {info.id for info in await self.engine.list_owned()}


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    monkeypatch.setattr(removals, "JUST_ENDED_SECONDS", 0)
    monkeypatch.setattr(removals, "POLL_SECONDS", 0.01)
    made = Node(tmp_path)
    yield made
    await made.reaper._removals.close()
    await made.logs.close()
    made.spool.close()
    made.journal.close()


async def test_a_container_whose_log_was_never_read_is_read_before_it_goes(node: Node) -> None:
    key, container = await node.container()
    assert not node.spool.is_settled(key)
    await node.round()
    assert await node.names() == {container}, "its log is not acknowledged yet"
    assert set(node.uploaded) == {key}
    await node.round()
    assert await node.names() == set()


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_container_that_docker_can_not_remove_holds_up_nothing_else(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hangs: bool
) -> None:
    monkeypatch.setattr(removals, "LIMIT_SECONDS", 5)
    monkeypatch.setattr(removals, "RETRY_SECONDS", 10 * HANG_SECONDS)
    _, stuck = await node.container()
    others = [await node.container() for _ in range(6)]
    node.engine.stuck, node.engine.hangs = {stuck}, hangs
    await node.round()
    for _ in range(3):
        await node.round()
    assert await node.names() == {stuck}
    assert len(node.engine.tried) == 1 + len(others), "it is tried again later, not with each round"
    words = [text for text in told(caplog) if "can't be removed" in text]
    assert len(words) == 1
    why = "the engine did not do it within 5 s" if hangs else "device or resource busy"
    assert why in words[0]
    assert [item.problem for item in node.plane.last.containers] == [why]
    node.engine.stuck = set()
    node.reaper._removals._cases[stuck].not_before = 0
    await node.round()
    assert await node.names() == set()


async def test_what_is_gone_leaves_no_case_behind(node: Node) -> None:
    for _ in range(3):
        await node.container()
        await node.round()
    await node.round()
    await node.round()
    assert await node.names() == set()
    assert node.reaper._removals._cases == {}


async def test_what_was_never_started_goes_and_leaves_nothing(node: Node) -> None:
    """A delivery that came too late: its step was canceled before its first try."""
    key, _ = await node.container(started=False)
    node.journal.begin(key, b"token")
    for _ in range(2):
        await node.round()
    assert await node.names() == set()
    assert node.uploaded == [key], "the empty log ends, for who waits for its end"
    assert node.spool.settled_keys() == node.spool.open_keys() == []


async def test_a_try_of_a_server_that_failed_goes_though_its_log_was_to_go_on(node: Node) -> None:
    key, container = await node.container(lifetime="node", kind="service")
    node.logs.follow(key, container, until_removed=True)
    for _ in range(2):
        await node.round()
    assert await node.names() == set()


async def test_what_nobody_will_ask_for_is_forgotten(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper_module, "IDLE_SECONDS", -1)
    over, goes_on, live, held = (make_key(step=name) for name in ("over", "goes-on", "live", "held"))
    for key in (over, goes_on, live, held):
        node.journal.begin(key, str(key).encode())
    for key in (over, goes_on, held):
        node.journal.returned(str(key).encode())
    _, container = await node.container(key=held)
    node.plane.verdicts[container] = KEEP
    node.plane.over = [over]
    refused, open_ = make_key(step="refused"), make_key(step="open")
    for key in (refused, open_):
        node.spool.open(key)
    node.spool.refuse(refused, "no such run")
    await node.round()
    assert {key_from_pb(key) for key in node.plane.last.tries} == {over, goes_on}
    assert set(node.journal.idle_tries(1e12)) == {goes_on, held}
    assert node.spool.settled_keys() == []
    assert node.spool.open_keys() == [open_]


async def test_resources_of_runs_that_nobody_knows_go_after_a_while(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database may come back, and a workspace can't be made again."""
    run_id = make_run_id()
    await node.engine.ensure_volume(f"gk-{run_id}", run_id)
    node.plane.unknown_runs = [run_id]
    for _ in range(2):
        await node.round()
    assert await node.engine.list_run_resources() == [run_id]
    monkeypatch.setattr(reaper_module, "IDLE_SECONDS", -1)
    await node.round()
    assert await node.engine.list_run_resources() == []


async def test_what_no_live_run_owns_is_stopped_with_a_warning(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    key, _ = await node.container(sleep="600")
    for _ in range(3):
        await node.round()
    assert await node.names() == set()
    assert told(caplog) == [f"container {key.container_name} has no live owner: stopping it"]


class EndsLater(OddEngine):
    """Its container ends by itself a moment after somebody has looked at it: the engine tears it down."""

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        found = await super().find(name_or_id)
        if found is not None and found.status is ContainerStatus.RUNNING:
            self.finish("build")
        return found


async def test_a_container_whose_step_ended_a_moment_ago_is_not_called_ownerless(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(removals, "JUST_ENDED_SECONDS", HANG_SECONDS)
    node.engine.__class__ = EndsLater
    await node.container(sleep="600")
    for _ in range(3):
        await node.round()
    assert await node.names() == set()
    assert told(caplog) == []


async def test_a_delivery_that_is_stopping_its_container_is_left_to_it(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key, _ = await node.container(sleep="600")
    node.journal.begin(key, b"token")
    await node.reaper._round()
    asked = 0
    is_live = node.journal.is_live

    def counted(asked_of: StepKey) -> bool:
        nonlocal asked
        asked += 1
        if asked == 5:
            node.engine.finish("build")  # the delivery does its work
        return is_live(asked_of)

    monkeypatch.setattr(node.journal, "is_live", counted)
    for _ in range(3):
        await node.round()
    assert await node.names() == set()
    assert told(caplog) == []


async def test_a_change_in_the_engine_asks_for_a_report(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that dies is told at once; the next round would be a minute away."""
    monkeypatch.setattr(reaper_module, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(reaper_module, "PERIOD_SECONDS", 10 * HANG_SECONDS)
    _, container = await node.container(sleep="600", kind="service", lifetime="node")
    node.plane.verdicts[container] = KEEP
    task = asyncio.create_task(node.reaper.run_forever())
    async with asyncio.timeout(HANG_SECONDS):
        await node.plane.reports.get()
        await node.engine.stop(container, 1)
        while [item.status for item in (await node.plane.reports.get()).containers] != ["exited"]:
            pass
    task.cancel()


async def test_mounts_are_looked_at_without_a_control_plane(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sockets of containers are dead until then, and the engine may come up after the agent."""
    monkeypatch.setattr(reaper_module, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(reaper_module, "PERIOD_SECONDS", 0.01)
    node.plane.connected.clear()
    node.engine.is_away = True
    task = asyncio.create_task(node.reaper.run_forever())
    try:
        async with asyncio.timeout(HANG_SECONDS):
            for _ in range(3):
                assert await node.engine.looks_at_mounts.get()
            node.engine.is_away = False
            while await node.engine.looks_at_mounts.get():
                pass
            assert node.plane.reports.empty()
            node.plane.connected.set()
            await node.plane.reports.get()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
