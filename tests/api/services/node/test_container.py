"""Reports of a node's containers: what is kept of them, told of them and answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.services.node.container import ContainerService, Report, ReportAnswer, ReportedContainer
from gamekeeper.db.engine import Database
from gamekeeper.db.models import ContainerRow, NodeRow, RunRow, StepRow
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.run.disposal import Disposal
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepState

ENDED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Reports:
    """Reports of node n1 on the run "run1", in which a service is up and a job goes on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._service = ContainerService(database)

    async def tell(self, *containers: ReportedContainer, **report: Any) -> ReportAnswer:
        return await self._service.report("n1", Report(containers, **report))

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Kinds and data, oldest first."""
        async with self._database.read() as session:
            rows, _ = await EventRepository(session).after(0, EventFilter(), 500)
        return [(row.kind, row.data) for row in rows if row.kind.startswith("container.")]

    async def kinds(self) -> list[str]:
        return [kind for kind, _ in await self.events()]

    async def step(self, name: str = "service") -> StepRow:
        async with self._database.read() as session:
            return await RunRepository(session).get_step("run1", name)

    async def change(self, run_state: RunState, job_state: StepState) -> None:
        async with self._database.write() as session:
            (await RunRepository(session).get("run1")).state = run_state.value
            (await RunRepository(session).get_step("run1", "job")).state = job_state.value


def container(status: str = "running", *, step: str = "service", number: int = 1, **fields: Any) -> ReportedContainer:
    key = StepKey(run_id=fields.pop("run_id", "run1"), step=step, try_=number)
    told = {name: fields.pop(name) for name in ("last_exit_code", "finished_at") if name in fields}
    row = ContainerRow(
        node_id="n1",
        id=f"id-{step}-{number}",
        name=key.container_name,
        image="image",
        status=status,
        run_id=key.run_id,
        step=step,
        try_number=number,
        **fields,
    )
    return ReportedContainer(row, key, status in ("exited", "created"), timedelta(hours=1), **told)


@pytest.fixture
async def reports(database_url: str) -> AsyncIterator[Reports]:
    database = Database(database_url)
    async with database.write() as session:
        session.add(NodeRow(id="n1", name="n1"))
        session.add(RunRow(id="run1", pipeline="p", state=RunState.RUNNING.value))
        await session.flush()
        up, on = StepState.SUCCEEDED.value, StepState.RUNNING.value
        session.add(StepRow(run_id="run1", name="service", type="service", node_id="n1", state=up, try_number=1))
        session.add(StepRow(run_id="run1", name="job", node_id="n1", state=on, try_number=1))
    yield Reports(database)
    await database.close()


async def test_restarts_are_counted_and_are_events(reports: Reports) -> None:
    await reports.tell(container())
    await reports.tell(container("restarting", restart_count=1, exit_code=3, last_exit_code=3))
    await reports.tell(container(restart_count=3, last_exit_code=137))
    await reports.tell(container(restart_count=3, last_exit_code=137))
    told = [data for kind, data in await reports.events() if kind == "container.restarted"]
    assert [(data["restart_count"], data["exit_code"]) for data in told] == [(1, 3), (3, 137)]
    step = await reports.step()
    assert step.trouble == "its container was restarted 3 times, last after it exited with 137"
    assert (step.state, step.exit_code) == (StepState.SUCCEEDED, None), "its one outcome stands"


@pytest.mark.parametrize(
    ("seen", "trouble"),
    [
        (
            container("exited", exit_code=137, finished_at=ENDED_AT),
            "its container exited with 137 at 2026-01-02 03:04:05 UTC",
        ),
        (
            container("restarting", restart_count=2, last_exit_code=1),
            "its container exited with 1 and is restarting (restart 2)",
        ),
        (container(health="unhealthy"), "its container is unhealthy"),
        (container("paused"), "its container is paused"),
        (container(restart_count=1), "its container was restarted once"),
        (container(health="healthy"), ""),
        (container("exited", number=2), ""),
        (container("exited", step="job"), ""),
        (None, "its container is gone"),
    ],
)
@pytest.mark.parametrize("lifetime", ["run", "node"])
async def test_a_service_that_came_up_shows_what_became_of_it(
    reports: Reports, seen: ReportedContainer | None, trouble: str, lifetime: str
) -> None:
    containers = [container(lifetime=lifetime)]
    await reports.tell(*containers)
    if seen is not None:
        row = ContainerRow(**(seen.row.model_dump() | {"lifetime": lifetime}))
        containers = [ReportedContainer(row, seen.key, seen.ended, seen.age, seen.last_exit_code, seen.finished_at)]
        if (seen.key.step, seen.key.try_) != ("service", 1):
            containers.append(container(lifetime=lifetime))
    await reports.tell(*(containers if seen else ()))
    assert (await reports.step()).trouble == trouble
    assert (await reports.step("job")).trouble == ""
    await reports.tell(container(lifetime=lifetime))
    assert (await reports.step()).trouble == ""


@pytest.mark.parametrize(("lifetime", "is_trouble"), [("run", False), ("node", True)])
@pytest.mark.parametrize("run_state", [RunState.RUNNING, RunState.SUCCEEDED])
async def test_the_end_of_a_service_with_its_run_is_no_trouble(
    reports: Reports, lifetime: str, is_trouble: bool, run_state: RunState
) -> None:
    await reports.tell(container(lifetime=lifetime))
    await reports.change(run_state, StepState.SUCCEEDED)
    await reports.tell(container("exited", lifetime=lifetime, exit_code=143))
    assert bool((await reports.step()).trouble) is is_trouble
    await reports.tell()
    assert bool((await reports.step()).trouble) is is_trouble


async def test_a_container_that_can_not_be_removed_is_one_event(reports: Reports) -> None:
    await reports.tell(container())
    for _ in range(3):
        await reports.tell(container(problem="device or resource busy"))
    assert await reports.kinds() == ["container.running", "container.stuck"]


async def test_the_answer_says_what_may_go(reports: Reports) -> None:
    stray = container("exited", step="job", number=1, run_id="lost")
    tries = [
        StepKey(run_id=run_id, step=step, try_=number)
        for run_id, step, number in (
            ("run1", "job", 1),
            ("run1", "service", 1),
            ("run1", "none", 1),
            ("lost", "job", 1),
        )
    ]
    answer = await reports.tell(container(), stray, run_resources=["run1", "lost"], tries=tries)
    assert answer.disposals == {"id-service-1": Disposal.KEEP, "id-job-1": Disposal.REMOVE}
    assert (answer.ended_runs, answer.unknown_runs) == ([], ["lost"])
    assert answer.over == tries[1:]
    await reports.change(RunState.FAILED, StepState.FAILED)
    answer = await reports.tell(container(), run_resources=["run1"], tries=tries)
    assert (answer.ended_runs, answer.over) == (["run1"], tries)
    assert answer.disposals == {"id-service-1": Disposal.STOP}
