"""A database that is away or hangs ends no session: beats are answered, and their words are written when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from api.grpc.limits import LIMITS
from api.grpc.link_calls import LinkConfig, LinkServices
from api.grpc.node_link import NodeLink
from api.grpc.outgoing import Outgoing
from api.logs.files import LogFiles
from api.services.node.agent_session import AgentSession
from api.services.node.allowance import Allowance
from api.services.node.condition import ConditionService
from api.services.node.container_owner import ContainerOwners
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
from gamekeeper.supervised import Supervised
from tests.hang import HANG_SECONDS

SPEC = {"name": "p", "steps": [{"name": "a", "node": "n", "container": {"image": "i"}}]}


async def ignore(_: str) -> None:
    return None


def phase_of(run_id: str, name: str) -> pb.AgentMessage:
    key = pb.ContainerKey(run_id=run_id, step="a")
    setattr(key, "try", 1)
    return pb.AgentMessage(step_phase=pb.StepPhase(key=key, phase=name))


class Session:
    """One session of node ``n``, spoken by hand. ``acknowledged`` are the numbers of the beats that were answered."""

    def __init__(self, link: NodeLink, agent: AgentSession) -> None:
        self.acknowledged: list[int] = []
        self._messages: asyncio.Queue[pb.AgentMessage | None] = asyncio.Queue()
        self._writer = link._writer(agent)
        self._answers = link._answers(agent, self._said(), self._writer, Outgoing())
        self._beats = 0

    async def _said(self) -> AsyncIterator[pb.AgentMessage]:
        while (message := await self._messages.get()) is not None:
            yield message

    def say(self, message: pb.AgentMessage) -> None:
        self._messages.put_nowait(message)

    async def beat(self) -> None:
        """Beats and waits for the answer."""
        self._beats += 1
        self.say(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=self._beats, docker_error="dead")))
        answer = await asyncio.wait_for(anext(self._answers), HANG_SECONDS)
        self.acknowledged.append(answer.heartbeat_ack.seq)

    async def end(self) -> None:
        self._messages.put_nowait(None)
        assert await anext(self._answers, None) is None
        self._writer.end()


class HangingDatabase(Database):
    """Never answers while ``hangs`` is set; ``asked`` counts what it was asked then."""

    hangs = False
    asked = 0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        await self._hang()
        async with super().read() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        await self._hang()
        async with super().write() as session:
            yield session

    async def _hang(self) -> None:
        if self.hangs:
            self.asked += 1
        while self.hangs:
            await asyncio.sleep(0.01)


async def begin(database: Database) -> tuple[Session, Presence, str]:
    """A session of a node that is to run step a of a run; also the run's id."""
    async with database.write() as session:
        session.add(NodeRow(id="n", name="n"))
    submission = Submission(spec=SPEC)
    run = await RunAcceptance(database, RunPlanner(database)).accept(submission, Origin(), node_wait=1)
    presence = Presence(database, Lease(2000, 8000), ignore)
    unused, owners = cast(Any, None), ContainerOwners(database)
    services = LinkServices(
        joining=unused,
        standing=unused,
        presence=presence,
        phases=StepPhaseService(database, owners),
        containers=unused,
        owners=owners,
        instances=unused,
        secrets=unused,
        logs=LogFiles(Path()),
        events=unused,
        inventory=unused,
        conditions=ConditionService(database),
        telemetry=unused,
        consoles=unused,
        clock=database.clock,
        allowance=Allowance(LIMITS),
        session_writes=Supervised("session_writes"),
    )
    link = NodeLink(services, LinkConfig("t", "default", cancel_is_pushed=False))
    agent = await presence.open("n", NodeFacts(), NodePolicy())
    return Session(link, agent), presence, run.row.id


async def until_written(database: Database, run_id: str, phase: str) -> None:
    """Until the database has what the session told."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            async with database.read() as session:
                found = (await RunRepository(session).get_step(run_id, "a")).phase
                conditions = (await NodeRepository(session).get("n")).conditions
            if found == phase and [item["type"] for item in conditions] == ["DockerUnresponsive"]:
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_session_outlives_a_database_that_refuses(database: Database) -> None:
    session, _, run_id = await begin(database)
    for table in ("nodes", "steps"):
        await execute(database, f"ALTER TABLE {table} RENAME TO gone_{table}")
    session.say(phase_of(run_id, "pulling"))
    for _ in range(3):
        await session.beat()
    for table in ("nodes", "steps"):
        await execute(database, f"ALTER TABLE gone_{table} RENAME TO {table}")
    await session.beat()
    await until_written(database, run_id, "pulling")
    await session.end()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_database_that_hangs_holds_up_no_beat(database: Database, database_url: str) -> None:
    hanging = HangingDatabase(database_url)
    session, presence, run_id = await begin(hanging)
    hanging.hangs = True
    session.say(phase_of(run_id, "pulling"))
    async with asyncio.timeout(HANG_SECONDS):
        while not hanging.asked:
            await session.beat()
    for _ in range(20):
        session.say(phase_of(run_id, "running"))
        await session.beat()
    assert session.acknowledged == list(range(1, len(session.acknowledged) + 1))
    assert hanging.asked == 1, "one write is under way, and all others wait behind it"
    assert presence.session("n") is not None
    hanging.hangs = False
    await until_written(hanging, run_id, "running")
    await session.end()
    await hanging.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_last_words_of_a_session_are_written(database: Database) -> None:
    session, _, run_id = await begin(database)
    session.say(phase_of(run_id, "running"))
    await session.beat()
    await session.end()
    await until_written(database, run_id, "running")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_odd_step_holds_up_no_other_word(database: Database) -> None:
    session, _, run_id = await begin(database)
    await execute(database, "UPDATE steps SET state = 'dreaming'")
    session.say(phase_of(run_id, "pulling"))
    await session.beat()
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            async with database.read() as reading:
                if (await NodeRepository(reading).get("n")).conditions:
                    break
            await asyncio.sleep(0.01)
    await session.end()


async def execute(database: Database, statement: str) -> None:
    async with database.write() as session:
        await (await session.connection()).execute(text(statement))
