"""Instances that the steps of a run may not ensure are told at submission, and reruns go on with theirs."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.control_plane.intake.accept import Accepted, RunAcceptance
from gamekeeper.control_plane.intake.plan import RunPlanner
from gamekeeper.control_plane.intake.submission import Origin, Submission
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRow, NodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.errors import SpecError

ARENA = {"name": "arena", "type": "service", "lifetime": "node", "instance": "arena", "container": {"image": "i"}}


@pytest.fixture
async def acceptance(database: Database) -> RunAcceptance:
    async with database.write() as session:
        session.add_all([NodeRow(id="n", name="n"), NodeRow(id="m", name="m")])
    return RunAcceptance(database, RunPlanner(database))


async def accept(acceptance: RunAcceptance, step: dict[str, Any], rerun_of: str | None = None) -> Accepted:
    spec = {"name": "deploy", "args": {"port": {"type": "integer", "default": 8303}}, "steps": [step]}
    submission = Submission(spec=spec, node="n", fingerprint="f")
    return await acceptance.accept(submission, Origin(rerun_of=rerun_of), node_wait=10)


async def put(database: Database, **fields: Any) -> None:
    async with database.write() as session:
        usual = {"id": "arena", "node_id": "n", "pipeline": "deploy", "created_by": "key:ann"}
        session.add(InstanceRow(**(usual | fields)))


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        (
            {"pipeline": "other"},
            'instance "arena" belongs to pipeline other',
            "name another, or take it over: gamekeeper instance edit arena --pipeline deploy",
        ),
        ({"pipeline": ""}, 'instance "arena" was made by key:ann', "take it over"),
        ({"node_id": "m"}, 'instance "arena" is on node m', "gamekeeper instance rm arena"),
    ],
)
async def test_an_instance_of_others_is_refused(
    acceptance: RunAcceptance, database: Database, fields: dict[str, Any], message: str, hint: str
) -> None:
    await put(database, **fields)
    with pytest.raises(SpecError) as refused:
        await accept(acceptance, ARENA)
    (problem,) = refused.value.problems
    assert problem.path == "steps[0].instance"
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize("fields", [{}, {"pipeline": "other", "deleted_at": utc_now()}])
async def test_the_pipelines_own_and_one_that_is_gone_are_not(
    acceptance: RunAcceptance, database: Database, fields: dict[str, Any]
) -> None:
    await put(database, **fields)
    accepted = await accept(acceptance, ARENA)
    assert accepted.run.pipeline.instances() == ["arena"]


@pytest.mark.parametrize(
    ("fields", "abilities", "path", "message"),
    [
        ({}, [], "steps[0].node", 'node "n": its agent (0.1.0) keeps no instances: upgrade it'),
        ({"strategy": "blue_green"}, ["instances"], "steps[0].node", 'node "n": its agent (0.1.0) brings no revision'),
        (
            {"strategy": "blue_green", "container": {"image": "i", "ports": ["${{ args.port }}:80"]}},
            ["instances", "blue_green"],
            "steps[0].container.ports[0]",
            'blue_green: "8303:80" can\'t be held by two revisions at once',
        ),
    ],
)
async def test_what_the_node_can_never_do_is_told_at_submission(
    acceptance: RunAcceptance, database: Database, fields: dict[str, Any], abilities: list[str], path: str, message: str
) -> None:
    async with database.write() as session:
        row = await session.get_one(NodeRow, "n")
        row.system, row.agent_version = {"abilities": abilities}, "0.1.0"
    with pytest.raises(SpecError) as refused:
        await accept(acceptance, ARENA | fields)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert message in problem.message


async def test_a_rerun_of_a_rerun_has_the_instances_of_the_first_run(acceptance: RunAcceptance) -> None:
    step = {"name": "arena", "type": "service", "container": {"image": "i"}}
    first = await accept(acceptance, step)
    second = await accept(acceptance, step, first.row.id)
    third = await accept(acceptance, step, second.row.id)
    other = await accept(acceptance, step)
    ids = [made.run.pipeline.instances()[0] for made in (first, second, third, other)]
    assert ids[:3] == [f"deploy-arena-{first.row.id}"] * 3
    assert ids[3] == f"deploy-arena-{other.row.id}"
