"""Cordons and drains: a node takes nothing new, and is disabled once nothing works there, or at the deadline."""

from __future__ import annotations

from datetime import timedelta

import pytest

from api.services.node.drain import DrainService
from api.services.node.node import NodeService
from gamekeeper.db.engine import Database
from gamekeeper.db.models import ContainerRow, NodeRow, RunRow, StepRow
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepState
from gamekeeper.errors import NotFoundError
from tests.factories import EVERYTHING

LONG, OVER = timedelta(hours=1), timedelta(seconds=-1)


class Drains:
    """The service on node n1, with what it tells."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.changed: list[str] = []
        self.service = DrainService(database, self._hear)
        self.nodes = NodeService(database, self._hear, lambda _: False, lambda _: None, lambda: "pin")

    async def _hear(self, node_id: str) -> None:
        self.changed.append(node_id)

    async def node(self) -> tuple[str, bool]:
        """Its mode, and whether it drains."""
        row = await self.nodes.get("n1")
        return row.mode, row.drain_until is not None

    async def add_step(self, state: StepState, step_type: str = "job", run: RunState = RunState.RUNNING) -> None:
        async with self.database.write() as session:
            session.add(RunRow(id="run1", pipeline="p", state=run.value))
            await session.flush()
            session.add(StepRow(run_id="run1", name="a", type=step_type, node_id="n1", state=state.value))
            container = ContainerRow(node_id="n1", id="c", name="gk-a", image="i", status="running")
            container.run_id, container.step = "run1", "a"
            session.add(container)

    async def end_step(self) -> None:
        async with self.database.write() as session:
            (await session.get_one(StepRow, ("run1", "a"))).state = StepState.FAILED.value

    async def events(self) -> list[tuple[str, str, str]]:
        async with self.database.read() as session:
            rows, _ = await EventRepository(session).after(0, EventFilter(), 500)
        return [(row.kind, row.reason, row.message.partition(";")[0]) for row in rows]


@pytest.fixture
async def drains(database: Database) -> Drains:
    async with database.write() as session:
        session.add(NodeRow(id="n1", name="n1"))
    return Drains(database)


async def test_a_cordon_and_its_end(drains: Drains) -> None:
    assert (await drains.service.cordon("n1")).version == 2
    assert (await drains.service.cordon("n1")).version == 2  # asked again it changes nothing
    assert (await drains.service.uncordon("n1")).mode == "active"
    assert drains.changed == ["n1", "n1"]
    assert await drains.events() == [
        ("node.edited", "", "mode active -> maintenance"),
        ("node.edited", "", "mode maintenance -> active"),
    ]


async def test_a_node_without_work_is_disabled_at_the_next_look(drains: Drains) -> None:
    await drains.service.drain("n1", LONG)
    assert await drains.node() == ("maintenance", True)
    await drains.service.look()
    await drains.service.look()
    assert await drains.node() == ("disabled", False)
    assert drains.changed == ["n1", "n1"]
    assert await drains.events() == [
        ("node.draining", "", "mode active -> maintenance"),
        ("node.drained", "empty", "no step runs any more"),
    ]


@pytest.mark.parametrize(
    ("state", "step_type", "run", "holds"),
    [
        (StepState.RUNNING, "job", RunState.RUNNING, True),
        (StepState.STARTING, "job", RunState.RUNNING, True),
        (StepState.PULLING, "job", RunState.RUNNING, True),
        (StepState.SUCCEEDED, "service", RunState.RUNNING, True),  # others of its run may need it
        (StepState.SUCCEEDED, "service", RunState.SUCCEEDED, False),
        (StepState.SUCCEEDED, "job", RunState.RUNNING, False),
        (StepState.RUNNING, "approval", RunState.RUNNING, False),
        (StepState.WAITING_NODE, "job", RunState.RUNNING, False),
        (StepState.PENDING, "job", RunState.RUNNING, False),
    ],
)
async def test_what_works_holds_a_drain_up(
    drains: Drains, state: StepState, step_type: str, run: RunState, holds: bool
) -> None:
    await drains.add_step(state, step_type, run)
    await drains.service.drain("n1", LONG)
    await drains.service.look()
    assert await drains.node() == (("maintenance", True) if holds else ("disabled", False))
    await drains.end_step()
    await drains.service.look()
    assert await drains.node() == ("disabled", False)


async def test_the_deadline_ends_a_drain(drains: Drains) -> None:
    await drains.add_step(StepState.RUNNING)
    await drains.service.drain("n1", LONG)
    await drains.service.drain("n1", OVER)  # a further one sets another
    await drains.service.look()
    assert await drains.node() == ("disabled", False)
    assert (await drains.events())[-1] == ("node.drained", "deadline", "its deadline is over")


async def test_a_drain_goes_on_after_a_restart(drains: Drains) -> None:
    await drains.service.drain("n1", LONG)
    after = Drains(drains.database)
    await after.service.look()
    assert await after.node() == ("disabled", False)
    assert after.changed == ["n1"]


async def test_an_operator_ends_a_drain(drains: Drains) -> None:
    await drains.add_step(StepState.RUNNING)
    for mode in ("active", "disabled"):
        await drains.service.drain("n1", LONG)
        await drains.nodes.edit("n1", {"mode": mode}, None, EVERYTHING)
        assert await drains.node() == (mode, False)
        await drains.service.uncordon("n1")
    await drains.service.drain("n1", OVER)
    await drains.service.cordon("n1")
    await drains.service.look()
    assert await drains.node() == ("maintenance", False)


async def test_a_disabled_node_is_drained_already(drains: Drains) -> None:
    await drains.nodes.edit("n1", {"mode": "disabled"}, None, EVERYTHING)
    await drains.service.drain("n1", LONG)
    assert await drains.node() == ("disabled", False)


async def test_no_node_no_drain(drains: Drains) -> None:
    for call in (drains.service.cordon("n9"), drains.service.uncordon("n9"), drains.service.drain("n9", LONG)):
        with pytest.raises(NotFoundError):
            await call
