"""The same request makes one run, however often it comes and whoever asks, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from gamekeeper.control_plane.intake.accept import Accepted, RunAcceptance
from gamekeeper.control_plane.intake.plan import RunPlanner
from gamekeeper.control_plane.intake.submission import Origin, Submission
from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.run.limits import MAX_INPUT
from gamekeeper.domain.run.step import StepState, StepStatus
from gamekeeper.errors import ConflictError, InvalidError, SpecError

SPEC = {"name": "p", "steps": [{"name": "a", "node": "n", "container": {"image": "i"}}]}


@pytest.fixture
async def acceptance(database: Database) -> RunAcceptance:
    async with database.write() as session:
        session.add(NodeRow(id="n", name="n"))
    return RunAcceptance(database, RunPlanner(database))


async def accept(
    acceptance: RunAcceptance, key: str | None = None, run_id: str | None = None, fingerprint: str = "f"
) -> Accepted:
    submission = Submission(spec=SPEC, idempotency_key=key, fingerprint=fingerprint)
    return await acceptance.accept(submission, Origin(), node_wait=10, run_id=run_id)


@pytest.mark.parametrize(("key", "run_id"), [("k", None), (None, "0123456789abcdef")])
async def test_the_same_request_gives_the_same_run(
    acceptance: RunAcceptance, key: str | None, run_id: str | None
) -> None:
    first = await accept(acceptance, key, run_id)
    again = await accept(acceptance, key, run_id)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.run == first.run
    assert [(step.run_id, step.name) for step in again.steps] == [(first.row.id, "a")]


@pytest.mark.parametrize(("key", "run_id"), [("k", None), (None, "0123456789abcdef")])
async def test_equal_requests_at_once_make_one_run(
    acceptance: RunAcceptance, key: str | None, run_id: str | None
) -> None:
    made = await asyncio.gather(*[accept(acceptance, key, run_id) for _ in range(5)])
    assert len({accepted.row.id for accepted in made}) == 1
    assert sum(accepted.is_new for accepted in made) == 1


async def test_a_key_is_of_one_request(acceptance: RunAcceptance) -> None:
    first = await accept(acceptance, "k")
    with pytest.raises(ConflictError, match=f"belongs to run {first.row.id}"):
        await accept(acceptance, "k", fingerprint="another")


async def test_without_a_key_each_request_is_a_run(acceptance: RunAcceptance) -> None:
    assert (await accept(acceptance)).row.id != (await accept(acceptance)).row.id


async def test_the_answer_is_what_was_written(acceptance: RunAcceptance, database: Database) -> None:
    accepted = await accept(acceptance)
    async with database.read() as session:
        runs = RunRepository(session)
        stored, steps = await runs.find_whole(accepted.row.id), await runs.steps(accepted.row.id)
    assert stored is not None
    assert stored.model_dump() == accepted.row.model_dump()
    assert [step.model_dump() for step in steps] == [step.model_dump() for step in accepted.steps]


async def test_what_can_not_run_makes_nothing(acceptance: RunAcceptance, database: Database) -> None:
    with pytest.raises(SpecError):
        await acceptance.accept(Submission(spec=SPEC | {"steps": []}), Origin(), node_wait=10)
    async with database.read() as session:
        assert await RunRepository(session).count_by_state() == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # nothing is written
async def test_a_run_that_temporal_would_refuse_is_refused_before_it(acceptance: RunAcceptance) -> None:
    """Many short steps are long with all their defaults, which Temporal is given."""
    container = {"image": "i", "commands": ["true # " + "x" * 100]}
    steps = [{"name": f"s{number}", "node": "n", "container": container} for number in range(2000)]
    many = Submission(spec={"name": "p", "steps": steps})
    with pytest.raises(InvalidError, match="the run as Temporal is given it is too large"):
        await acceptance.accept(many, Origin(), node_wait=10)
    outputs = {"text": "x" * MAX_INPUT}
    carried = [StepStatus(name="a", type="job", node="n", position=0, state=StepState.SUCCEEDED, outputs=outputs)]
    with pytest.raises(InvalidError, match="--from all"):
        await acceptance.accept(Submission(spec=SPEC), Origin(), node_wait=10, carry=lambda _: carried)
