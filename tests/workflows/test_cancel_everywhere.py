"""A cancel at every moment of a run: at each call that the workflow makes, before it and before its answer.

Each shape of a pipeline first runs undisturbed, which counts its moments; then it runs once for each of them, with a
cancel there. The same again with a worker that remembers no workflow, so that each workflow task is a replay, as after
a worker's death; and with a cancel that nobody waits for, so that it may come in the same workflow task as the answer.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.client import Client, WorkflowHandle

from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.node.node import NodeStatus, NodeView
from gamekeeper.domain.run.run import BEHAVIOUR, GroupPlace, GroupRequest, RunById, RunInput, RunSnapshot, RunState
from gamekeeper.domain.run.step import StepState, StepStatus
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, NewContainer
from gamekeeper.temporal import queues, workflow_names
from gamekeeper.temporal.ids import run_workflow_id
from tests.factories import make_pipeline, step_of
from tests.fakes.run_intake import FakeRunIntake
from tests.fakes.run_store import FakeRunStore
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import step
from tests.workflows.test_random_flow import Made, pipelines

Action = Callable[[], Awaitable[None]]
CLOSED = {RunState.CANCELED: "CancelledError", RunState.FAILED: "ApplicationError", RunState.SUCCEEDED: "completed"}
AT_ONCE = 12
CHECKED = {"healthcheck": {"test": ["CMD", "true"]}}


class Moments:
    """Counts the moments of each run, and does at one of them what a test has planned."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = defaultdict(int)
        self.planned: dict[str, tuple[int, Action]] = {}

    async def reach(self, run_id: str) -> None:
        moment = self.counts[run_id]
        self.counts[run_id] += 1
        if run_id in self.planned and self.planned[run_id][0] == moment:
            await self.planned[run_id][1]()


class WatchedEngine(DummyEngine):
    """Notes each start, and the containers that were running when they were stopped from outside."""

    def __init__(self, node: str, moments: Moments) -> None:
        super().__init__(node)
        self._moments = moments
        self.starts: dict[str, int] = defaultdict(int)
        self.stopped: set[str] = set()

    async def create(self, new: NewContainer) -> str:
        await self._moments.reach(step_of(new.owner).run_id)
        return await super().create(new)

    async def start(self, container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        self.starts[self._by_id[container_id].info.name] += 1
        await super().start(container_id, secrets)
        await self._reach(container_id)

    async def wait(self, container_id: str) -> None:
        await super().wait(container_id)
        await self._reach(container_id)

    async def stop(self, container_id: str, grace: float) -> None:
        await self._reach(container_id)
        info = self._by_id[container_id].info
        if info.status is ContainerStatus.RUNNING:
            self.stopped.add(info.name)
        await super().stop(container_id, grace)
        await self._reach(container_id)

    async def _reach(self, container_id: str) -> None:
        await self._moments.reach(step_of(self._by_id[container_id].new.owner).run_id)


class WatchedStore(FakeRunStore):
    def __init__(self, moments: Moments) -> None:
        super().__init__()
        self._moments = moments

    async def write_snapshot(self, snapshot: RunSnapshot) -> None:
        await self._moments.reach(snapshot.run_id)
        await super().write_snapshot(snapshot)
        await self._moments.reach(snapshot.run_id)

    def of(self, run_id: str) -> list[RunSnapshot]:
        return [snapshot for snapshot in self.snapshots if snapshot.run_id == run_id]


class WatchedIntake(FakeRunIntake):
    """A group of one slot: ``left`` are the runs that gave it back."""

    def __init__(self, moments: Moments) -> None:
        super().__init__()
        self._moments = moments
        self.asked: dict[str, int] = defaultdict(int)
        self.left: set[str] = set()

    async def load(self, asked: RunById) -> RunInput:
        await self._moments.reach(asked.run_id)
        return await super().load(asked)

    async def enter_group(self, request: GroupRequest) -> GroupPlace:
        await self._moments.reach(request.run_id)
        self.asked[request.run_id] += 1
        return GroupPlace(granted=True, place=1, running=1)

    async def next_in_line(self, request: GroupRequest) -> list[str]:
        await self._moments.reach(request.run_id)
        self.left.add(request.run_id)
        return []


class WatchedPlane(ControlPlane):
    def __init__(self, client: Client, queue: str) -> None:
        super().__init__(client, queue)
        self.moments = Moments()
        self.watched_engine = self.engine = WatchedEngine(self.node, self.moments)
        self.watched_store = self.store = WatchedStore(self.moments)
        self.watched_intake = self.intake = WatchedIntake(self.moments)

    async def once(
        self, pipeline: ResolvedPipeline, *, by_id: bool, moment: int | None = None, awaited: bool = True
    ) -> Run:
        """One run to its end, with a cancel at ``moment``."""
        run_id = uuid.uuid4().hex[:12]
        started: asyncio.Future[WorkflowHandle[Any, Any]] = asyncio.get_running_loop().create_future()
        sent: list[asyncio.Task[None]] = []

        async def cancel() -> None:
            handle = await started
            sent.append(asyncio.create_task(handle.cancel(reason="enough")))
            if awaited:
                await asyncio.wait(sent)

        if moment is not None:
            self.moments.planned[run_id] = (moment, cancel)
        nodes = {self.node: NodeView(id=self.node, status=NodeStatus.ONLINE)}
        whole = RunInput(run_id=run_id, pipeline=pipeline, nodes=nodes, behaviour=BEHAVIOUR)
        self.intake.runs[run_id] = whole
        argument = RunById(run_id=run_id, behaviour=BEHAVIOUR) if by_id else whole
        handle = await self.client.start_workflow(
            workflow_names.RUN, argument, id=run_workflow_id(run_id), task_queue=self.queue
        )
        started.set_result(handle)
        how = await ended(handle)
        await asyncio.gather(*sent, return_exceptions=True)  # one that came after the end is refused
        containers = await self.engine.list_owned(run_id=run_id)
        return Run(run_id, how, self.watched_store.of(run_id), {info.name: info for info in containers})


@dataclass(frozen=True)
class Run:
    """A run that has ended, as everybody around it saw it."""

    id: str
    closed: str
    snapshots: list[RunSnapshot]
    containers: dict[str, ContainerInfo]

    @property
    def state(self) -> RunState:
        return self.snapshots[-1].state

    def steps(self) -> dict[str, StepStatus]:
        return {status.name: status for snapshot in self.snapshots for status in snapshot.steps}

    def of_step(self, name: str) -> list[ContainerInfo]:
        return [info for info in self.containers.values() if info.owner and step_of(info.owner).step == name]


def check(run: Run, undisturbed: Run, plane: WatchedPlane) -> None:
    """Checks the rules that hold for every run, whenever it was cancelled."""
    steps = run.steps()
    assert run.closed == CLOSED[run.state], "Temporal and the read model tell the same end"
    assert run.state in (RunState.CANCELED, undisturbed.state)
    assert [snapshot.state.is_final for snapshot in run.snapshots].count(True) == 1
    assert all(status.state.is_final for status in steps.values()), "every step has an outcome"
    assert {name for name, count in plane.watched_engine.starts.items() if run.id in name and count > 1} == set()
    assert [info.name for info in run.containers.values() if info.status is ContainerStatus.RUNNING] == []
    for status in steps.values():
        check_step(status, run, undisturbed, plane.watched_engine)
    if plane.watched_intake.asked[run.id]:
        assert run.id in plane.watched_intake.left, "the slot is given back"


def check_step(status: StepStatus, run: Run, undisturbed: Run, engine: WatchedEngine) -> None:
    last = next(
        (info for info in run.of_step(status.name) if info.owner and step_of(info.owner).try_ == status.try_), None
    )
    by_itself = last is not None and last.name not in engine.stopped
    if status.state is StepState.SUCCEEDED and status.type == "job" and not status.matrix and last is not None:
        assert by_itself
        assert last.exit_code == 0
    if status.state is StepState.CANCELED and last is not None and last.started_at is not None:
        assert not by_itself, f"{status.name} ended by itself with {last.exit_code}, and is told as canceled"
    if status.finally_:
        begun = any(other.try_ for other in run.steps().values() if not other.finally_) or by_itself
        if begun and not status.cell_of:
            assert status.state is undisturbed.steps()[status.name].state, "finally runs to its own end"
            assert len(run.of_step(status.name)) == len(undisturbed.of_step(status.name))


def shapes(node: str) -> dict[str, ResolvedPipeline]:
    """Pipelines that wait in every way that a run can wait. What they wait for is short."""

    def made(*steps: dict[str, Any], **fields: Any) -> ResolvedPipeline:
        return make_pipeline(*steps, node=node, **fields)

    failing = {"exit_code": 3}
    ask = {"name": "ask", "type": "approval", "approval": {"message": "go?", "expires": "50ms"}}
    return {
        "steps": made(step("a"), step("b"), finally_=[step("y"), step("z", dummy={"exit_code": 4})]),
        "service": made(step("db", type="service", lifetime="run"), step("a", ["db"]), finally_=[step("z")]),
        "started": made(
            step("db", type="service", lifetime="run", dummy={"healthy_after": 0.2}, container=CHECKED),
            step("a", {"db": "started"}),
            finally_=[step("z")],
        ),
        "retry": made(step("a", dummy=failing, retry={"attempts": 2, "backoff": "20ms"}), finally_=[step("z")]),
        "matrix": made(step("m", matrix={"n": [0, 1, 2]}, max_parallel=2), step("a"), finally_=[step("z")]),
        "approval": made(ask, step("a"), finally_=[step("z")]),
        "hold": made(step("a", dummy=failing, on_failure="hold 50ms"), step("b", []), finally_=[step("z")]),
        "call": made({"name": "c", "type": "pipeline", "pipeline": {"name": "inner"}}, step("a"), finally_=[step("z")]),
        "group": made(step("a"), finally_=[step("z")], concurrency={"group": "g"}),
        "time-limit": made(step("a", dummy={"sleep": 30}), finally_=[step("z")], timeout="100ms"),
    }


@pytest.fixture
def remembers() -> bool:
    return True


@pytest.fixture
async def plane(
    remembers: bool, temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[WatchedPlane]:
    queue = f"control-plane-{uuid.uuid4().hex}"
    monkeypatch.setattr(queues, "CONTROL_PLANE", queue)
    plane = WatchedPlane(temporal_client, queue)
    if not remembers:
        plane.worker_options["max_cached_workflows"] = 0
    plane.intake.pipelines["inner"] = lambda call: make_pipeline(
        step("x"), node=plane.node, finally_=[step("w")], name="inner"
    )
    async with plane.stack:
        await plane.start()
        await plane.start_node()
        yield plane


async def everywhere(plane: WatchedPlane, pipeline: ResolvedPipeline, *, by_id: bool, awaited: bool) -> None:
    undisturbed = await plane.once(pipeline, by_id=by_id)
    check(undisturbed, undisturbed, plane)
    several = asyncio.Semaphore(AT_ONCE)

    async def cancelled_at(moment: int) -> None:
        async with several:
            run = await plane.once(pipeline, by_id=by_id, moment=moment, awaited=awaited)
        try:
            check(run, undisturbed, plane)
        except AssertionError as error:
            states = {name: (status.state.value, status.message) for name, status in run.steps().items()}
            raise AssertionError(f"cancelled at moment {moment}: {run.state}, {states}: {error}") from error

    moments = plane.moments.counts[undisturbed.id]
    assert moments > 4
    await asyncio.gather(*[cancelled_at(moment) for moment in range(moments)])


@pytest.mark.parametrize("shape", sorted(shapes("node")))
@pytest.mark.parametrize(("remembers", "awaited"), [(True, True), (False, False)], ids=["before", "replayed-together"])
async def test_a_cancel_at_any_moment_ends_a_run_well(plane: WatchedPlane, shape: str, awaited: bool) -> None:
    await everywhere(plane, shapes(plane.node)[shape], by_id=shape == "steps", awaited=awaited)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pipelines(), st.integers(0, 25), st.booleans())
async def test_a_cancel_of_a_random_pipeline_ends_it_well(
    plane: WatchedPlane, pipeline: tuple[list[Made], list[Made]], moment: int, awaited: bool
) -> None:
    plane.intake.pipelines["inner"] = lambda call: make_pipeline(
        step("x", dummy={"exit_code": call.args["code"]}), node=plane.node
    )
    steps = [made.written(f"s{place}") for place, made in enumerate(pipeline[0])]
    finals = [made.written(f"z{place}") for place, made in enumerate(pipeline[1])]
    resolved = make_pipeline(*steps, node=plane.node, finally_=finals)
    run = await plane.once(resolved, by_id=False, moment=moment, awaited=awaited)
    assert run.closed == CLOSED[run.state]
    assert all(status.state.is_final for status in run.steps().values())
    assert [info.name for info in run.containers.values() if info.status is ContainerStatus.RUNNING] == []
