"""The metrics of runs by pipeline and schedule, from rows of the database."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import delete

from api.services.run.outcome import FRESH_SECONDS, RunOutcomeService
from gamekeeper.db.engine import Database
from gamekeeper.db.models import PipelineRow, RunRow, StepRow
from gamekeeper.db.repositories import run_outcome
from gamekeeper.domain.run.step import StepState
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

START = datetime(2026, 11, 1, tzinfo=UTC)


async def add_runs(database: Database, pipeline: str, states: str, schedule: str | None = None, **fields: Any) -> None:
    """Runs of 90 s each, one an hour, by the first letters of their states."""
    names = {name[0]: name for name in ("succeeded", "failed", "canceled", "queued", "running")}
    async with database.write() as session:
        for number, letter in enumerate(states):
            created = START + timedelta(hours=number)
            has_ended = letter in "sfc"
            times = {"started_at": created, "finished_at": created + timedelta(seconds=90)} if has_ended else {}
            row = RunRow(
                id=f"{pipeline}-{schedule}-{number:03}",
                pipeline=pipeline,
                schedule=schedule,
                state=names[letter],
                created_at=created,
                **(times | fields),
            )
            session.add(row)


async def values(api: ApiUnderTest) -> dict[tuple[str, ...], float]:
    text = (await api.anonymous.get("/metrics")).text
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("gamekeeper_pipeline_"):
                name = sample.name.removeprefix("gamekeeper_pipeline_")
                found[(name, *(sample.labels[key] for key in sorted(sample.labels)))] = sample.value
    return found


async def test_outcomes_by_pipeline_and_schedule(api: ApiUnderTest) -> None:
    await add_runs(api.database, "backup", "ssffcf", "backup-0")
    await add_runs(api.database, "backup", "fq")
    told = await values(api)
    backup = ("backup", "backup-0")
    assert told["runs_ended_total", *backup, "succeeded"] == 2
    assert told["runs_ended_total", *backup, "failed"] == 3
    assert told["runs_ended_total", *backup, "canceled"] == 1
    assert told["run_seconds_count", *backup, "failed"] == 3
    assert told["run_seconds_sum", *backup, "failed"] == pytest.approx(270, abs=0.1)
    assert told["last_success_seconds", *backup] == (START + timedelta(hours=1, seconds=90)).timestamp()
    assert told["failed_in_a_row", *backup] == 3
    assert told["waiting_seconds", *backup] == 0
    assert told["failed_in_a_row", "backup", ""] == 1
    assert told["waiting_seconds", "backup", ""] > 0
    assert ("last_success_seconds", "backup", "") not in told


async def test_a_step_that_waits_for_its_node_makes_its_run_wait(api: ApiUnderTest) -> None:
    since = datetime.now(UTC) - timedelta(minutes=20)
    await add_runs(api.database, "backup", "rrs", resolved={"node_wait": 1800.0})
    async with api.database.write() as session:
        for run, minutes in (("000", 35), ("001", 30), ("002", 9)):
            state = StepState.RUNNING if run == "000" else StepState.WAITING_NODE
            until = since + timedelta(minutes=minutes)
            session.add(StepRow(run_id=f"backup-None-{run}", name="a", node_id="n", state=state, deadline_at=until))
    assert (await values(api))["waiting_seconds", "backup", ""] == pytest.approx(1200, abs=HANG_SECONDS)


async def test_the_rules_of_the_page_read_what_is_told(api: ApiUnderTest) -> None:
    """Prometheus finds nothing wrong with a rule about a metric that nobody tells; it never fires."""
    await add_runs(api.database, "backup", "sfq", "backup-0")
    page = (Path(__file__).parents[3] / "docs" / "fleet.md").read_text()
    rules = re.findall(r"```yaml\n(groups:.*?)```", page, re.DOTALL)[0]
    named = set(re.findall(r"(gamekeeper_\w+)", "\n".join(re.findall(r"expr: (.*)", rules))))
    assert len(named) == rules.count("alert:")
    told = (await api.anonymous.get("/metrics")).text
    assert {name for name in named if f"\n{name}{{" not in told} == set()


async def test_a_success_ends_the_row(api: ApiUnderTest) -> None:
    await add_runs(api.database, "backup", "ffs")
    assert (await values(api))["failed_in_a_row", "backup", ""] == 0


async def test_their_number_is_bounded(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_outcome, "MAX_SHOWN", 2)
    for name in ("old", "young", "younger"):
        await add_runs(api.database, name, "s")
    shown = {key[1] for key in await values(api)}
    assert shown == {"young", "younger"}


async def test_a_deleted_pipeline_leaves(api: ApiUnderTest) -> None:
    async with api.database.write() as session:
        session.add(PipelineRow(name="kept", version=1, source=""))
        session.add(PipelineRow(name="gone", version=1, source="", deleted_at=START))
    await add_runs(api.database, "kept", "s", pipeline_version=1)
    await add_runs(api.database, "gone", "s", pipeline_version=1)
    await add_runs(api.database, "never-stored", "s")
    assert {key[1] for key in await values(api)} == {"kept", "never-stored"}


async def test_many_questions_are_one_query(database: Database) -> None:
    now = 0.0
    service = RunOutcomeService(database, lambda: now)
    await add_runs(database, "backup", "s")
    assert len(await service.newest()) == 1
    async with database.write() as session:
        await session.exec(delete(RunRow))
    assert len(await service.newest()) == 1
    now += FRESH_SECONDS
    assert await service.newest() == []
