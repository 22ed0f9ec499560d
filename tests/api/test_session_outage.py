"""A database that is away ends no session: beats are answered, and what they told is written when it is back."""

from __future__ import annotations

from collections import deque
from typing import Any, cast

import pytest
from sqlalchemy import text

from api.grpc.link_calls import LinkConfig, LinkServices
from api.grpc.node_link import NodeLink
from api.services.node.condition import ConditionService
from api.services.node.presence import Lease, Presence
from api.services.run.step_phase import StepPhaseService
from gamekeeper.control_plane.intake.accept import RunAcceptance
from gamekeeper.control_plane.intake.plan import RunPlanner
from gamekeeper.control_plane.intake.submission import Origin, Submission
from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.rpc.v1 import node_link_pb2 as pb

SPEC = {"name": "p", "steps": [{"name": "a", "node": "n", "container": {"image": "i"}}]}


async def ignore(_: str) -> None:
    return None


def phase_of(run_id: str, name: str) -> pb.AgentMessage:
    key = pb.StepKey(run_id=run_id, step="a")
    setattr(key, "try", 1)
    return pb.AgentMessage(step_phase=pb.StepPhase(key=key, phase=name))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_session_outlives_the_database(database: Database) -> None:
    async with database.write() as session:
        session.add(NodeRow(id="n", name="n"))
    submission = Submission(spec=SPEC)
    run = await RunAcceptance(database, RunPlanner(database)).accept(submission, Origin(), node_wait=1)
    presence = Presence(database, Lease(2000, 8000), ignore)
    unused = cast(Any, None)
    services = LinkServices(
        enrolment=unused,
        presence=presence,
        phases=StepPhaseService(database),
        containers=unused,
        logs=unused,
        events=unused,
        inventory=unused,
        conditions=ConditionService(database),
        telemetry=unused,
        consoles=unused,
        clock=database.clock,
    )
    link = NodeLink(services, LinkConfig("t", "default", cancel_is_pushed=False))
    agent, unwritten = await presence.open("n", NodeFacts(), NodePolicy()), deque[pb.StepPhase]()
    for table in ("nodes", "steps"):
        await execute(database, f"ALTER TABLE {table} RENAME TO gone_{table}")
    assert await link._receive(agent, phase_of(run.row.id, "pulling"), unwritten) is None
    beat = pb.AgentMessage(heartbeat=pb.Heartbeat(seq=7, docker_error="dead"))
    answer = await link._receive(agent, beat, unwritten)
    assert answer is not None
    assert answer.heartbeat_ack.seq == 7
    for table in ("nodes", "steps"):
        await execute(database, f"ALTER TABLE gone_{table} RENAME TO {table}")
    await link._receive(agent, beat, unwritten)
    async with database.read() as session:
        assert (await RunRepository(session).get_step(run.row.id, "a")).phase == "pulling"
        assert [item["type"] for item in (await NodeRepository(session).get("n")).conditions] == ["DockerUnresponsive"]
    assert not unwritten


async def execute(database: Database, statement: str) -> None:
    async with database.write() as session:
        await (await session.connection()).execute(text(statement))
