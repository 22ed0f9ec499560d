"""The actor who asked for a run goes along to all that comes of it, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from gamekeeper.control_plane.instance.accept import InstanceAcceptance, InstanceOrigin
from gamekeeper.control_plane.instance.plan import InstanceSubmission, plan_instance
from gamekeeper.control_plane.instance.store import SqlInstanceStore
from gamekeeper.control_plane.intake.accept import Accepted, RunAcceptance
from gamekeeper.control_plane.intake.for_workflows import SqlRunIntake
from gamekeeper.control_plane.intake.plan import RunPlanner
from gamekeeper.control_plane.intake.submission import Origin, Submission
from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow, PipelineRow
from gamekeeper.domain.instance.control import ActionBegin, ActionBegun, InstanceAction
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired
from gamekeeper.domain.language.resolved import ResolvedCall
from gamekeeper.domain.run.run import RunById, RunCall
from gamekeeper.domain.run.schedule import ScheduledRun
from gamekeeper.errors import SpecError

ANN, EVA = "key:ann", "key:eva"
POLICY = {"rules": [{"caller": ANN, "allow": {"privileged": True}}]}
STEP = {"name": "a", "node": "n", "container": {"image": "i", "privileged": True}}
SPEC = "name: p\nsteps: [{name: a, node: n, container: {image: i, privileged: true}}]"


@pytest.fixture
async def acceptance(database: Database) -> RunAcceptance:
    async with database.write() as session:
        session.add(NodeRow(id="n", name="n", policy=POLICY))
        session.add(PipelineRow(name="p", version=1, source=SPEC, created_by=EVA))
    return RunAcceptance(database, RunPlanner(database))


async def accept(acceptance: RunAcceptance, caller: str) -> Accepted:
    spec = {"name": "outer", "steps": [STEP]}
    return await acceptance.accept(Submission(spec=spec, fingerprint="f"), Origin(caller=caller), node_wait=10)


async def test_a_run_is_judged_by_who_asks_for_it(acceptance: RunAcceptance) -> None:
    made = await accept(acceptance, ANN)
    assert made.run.caller == ANN
    with pytest.raises(SpecError, match="privileged"):
        await accept(acceptance, EVA)


async def test_runs_of_runs_and_of_schedules_have_their_caller(database: Database, acceptance: RunAcceptance) -> None:
    outer, intake = await accept(acceptance, ANN), SqlRunIntake(database)
    call = RunCall(
        run_id="0123456789abcdef",
        call=ResolvedCall(name="p"),
        parent_run=outer.row.id,
        parent_step="a",
        started_by="w",
        callers=["outer"],
        node_wait=10,
    )
    for accepted in (
        await intake.accept_call(call),
        await intake.accept_scheduled(ScheduledRun(schedule="p-0", pipeline="p", run_id="1" * 16, caller=ANN)),
    ):
        loaded = await intake.load(RunById(run_id=accepted.run.run_id, behaviour=1))
        assert loaded.caller == ANN
    with pytest.raises(SpecError, match="privileged"):
        await intake.accept_scheduled(ScheduledRun(schedule="p-0", pipeline="p", run_id="2" * 16, caller=EVA))


def beginning(action: InstanceAction, serial: int, by: str, spec: InstanceSpec | None = None) -> ActionBegin:
    token, up = f"t{serial}", Desired.RUNNING
    return ActionBegin(instance="arena", token=token, action=action, serial=serial, desired=up, by=by, spec=spec)


async def test_an_order_names_who_wrote_its_revision_and_not_who_starts_it(database: Database) -> None:
    async with database.write() as session:
        session.add(NodeRow(id="n", name="n"))
    document = {"id": "arena", "node": "n", "container": {"image": "i"}}
    await InstanceAcceptance(database).accept(InstanceSubmission(value=document), InstanceOrigin(by=ANN))
    store, other = SqlInstanceStore(database), InstanceSpec.model_validate({"container": {"image": "j"}})
    told: list[ActionBegun] = [
        await store.begin(beginning(InstanceAction.RESTART, 1, EVA)),
        await store.begin(beginning(InstanceAction.UPDATE, 2, EVA, other)),
        await store.begin(beginning(InstanceAction.ROLLBACK, 3, "key:bob")),
    ]
    assert [(begun.revision, begun.caller) for begun in told] == [(1, ANN), (2, EVA), (1, ANN)]


async def test_a_revision_of_a_run_has_the_caller_of_the_run(database: Database, acceptance: RunAcceptance) -> None:
    run = await accept(acceptance, ANN)
    plan = await plan_instance(InstanceSubmission(value={"id": "arena", "node": "n", "container": {"image": "i"}}))
    origin = InstanceOrigin(by=f"run:{run.row.id}.a.1", pipeline="outer", step="a", run_id=run.row.id)
    await InstanceAcceptance(database).accept_plan(plan, origin, InstanceSubmission())
    begun = await SqlInstanceStore(database).begin(beginning(InstanceAction.CREATE, 1, origin.by))
    assert begun.caller == ANN
