"""A node with something that is to stay is removed by force alone, and whoever does so hears what stays."""

from __future__ import annotations

import pytest

from api.services.node.node import NodeService
from gamekeeper.db.engine import Database
from gamekeeper.db.models import ContainerRow, InstanceRow, NodeRow, RunRow, StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepState
from gamekeeper.errors import ConflictError, NotFoundError


async def ignore(_: str) -> None:
    pass


def service_of(database: Database) -> NodeService:
    return NodeService(database, ignore, lambda _: False, lambda _: None, lambda: "pin")


async def add(
    database: Database, lifetime: str, step_type: str, run: RunState, step: StepState, count: int = 1
) -> NodeService:
    """Node n1, on which each of ``count`` steps has a container."""
    async with database.write() as session:
        session.add(NodeRow(id="n1", name="n1"))
        session.add(NodeRow(id="n2", name="n2"))
        session.add(RunRow(id="run1", pipeline="p", state=run.value))
        await session.flush()
        for name in (f"a{number}" for number in range(count)):
            session.add(StepRow(run_id="run1", name=name, type=step_type, node_id="n1", state=step.value))
            container = ContainerRow(node_id="n1", id=name, name=f"gk-{name}", image="image", status="running")
            container.run_id, container.step, container.lifetime = "run1", name, lifetime
            session.add(container)
    return service_of(database)


GOES_ON, ENDED = RunState.RUNNING, RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("lifetime", "step_type", "run", "step", "refusal"),
    [
        ("node", "service", ENDED, StepState.SUCCEEDED, "nobody would look after: gk-a0;"),
        ("node", "service", GOES_ON, StepState.SUCCEEDED, "nobody would look after: gk-a0;"),
        ("run", "service", GOES_ON, StepState.SUCCEEDED, "nobody would look after: gk-a0;"),
        ("node", "service", GOES_ON, StepState.RUNNING, r"1 live step: run1/a0;"),
        ("run", "service", ENDED, StepState.SUCCEEDED, ""),
        ("run", "job", GOES_ON, StepState.SUCCEEDED, ""),
    ],
)
async def test_what_is_to_stay_keeps_its_node(
    database: Database, lifetime: str, step_type: str, run: RunState, step: StepState, refusal: str
) -> None:
    nodes = await add(database, lifetime, step_type, run, step)
    await nodes.delete("n2", None, force=False)  # another's containers are no concern of this one
    if refusal:
        with pytest.raises(ConflictError, match=refusal) as raised:
            await nodes.delete("n1", None, force=False)
        assert "force it" in raised.value.hint
        assert (await nodes.get("n1")).mode == "active"
    await nodes.delete("n1", None, force=bool(refusal))
    with pytest.raises(NotFoundError):
        await nodes.get("n1")


async def test_the_refusal_gives_the_command_and_the_event_tells_what_stays(database: Database) -> None:
    nodes = await add(database, "node", "service", ENDED, StepState.SUCCEEDED, count=7)
    with pytest.raises(ConflictError, match=r"7 services .*: gk-a0, gk-a1, gk-a2, gk-a3, gk-a4 and 2 more") as raised:
        await nodes.delete("n1", None, force=False)
    assert "docker rm -f gk-a0 gk-a1 gk-a2 gk-a3 gk-a4)" in raised.value.hint
    await nodes.delete("n1", None, force=True)
    async with database.read() as session:
        rows, _ = await EventRepository(session).after(0, EventFilter(), 500)
    told = [(row.kind, row.reason, row.message) for row in rows]
    assert told == [("node.removed", "forced", "left on its machine: gk-a0, gk-a1, gk-a2, gk-a3, gk-a4 and 2 more")]


async def test_instances_keep_their_node_and_are_named_when_they_are_left(database: Database) -> None:
    nodes = service_of(database)
    async with database.write() as session:
        session.add(NodeRow(id="n1", name="n1"))
        session.add(InstanceRow(id="arena", node_id="n1"))
        session.add(InstanceRow(id="gone", node_id="n1", deleted_at=utc_now()))
    with pytest.raises(ConflictError, match=r"1 instance that nobody would look after: arena; .*instance rm arena"):
        await nodes.delete("n1", None, force=False)
    await nodes.delete("n1", None, force=True)
    async with database.read() as session:
        rows, _ = await EventRepository(session).after(0, EventFilter(), 500)
    assert [(row.reason, row.message) for row in rows] == [("forced", "left on its machine: instance arena")]
