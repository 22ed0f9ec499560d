"""SqlInstanceEnsurer: one instance or revision a try, on SQLite and PostgreSQL. The workflows are in memory."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.control_plane.instance import ensure
from gamekeeper.control_plane.instance.ensure import SqlInstanceEnsurer
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow, NodeRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.control import ActionEnd, ChangeRequest, InstanceLife
from gamekeeper.domain.instance.ensure import EnsureInstance, spec_of
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.domain.language.resolved import ResolvedInstance
from gamekeeper.domain.node.node import NodeStatus
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from tests.factories import make_container, make_key


class Workflows:
    """InstanceWorkflows in memory. ``answers`` are given or raised, one a change."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.changes: list[tuple[ChangeRequest, str | None]] = []
        self.answers: list[ActionEnd | Exception] = []

    async def start(self, life: InstanceLife) -> None:
        self.started.append(life.instance)

    async def change(self, instance: str, request: ChangeRequest, key: str | None = None) -> ActionEnd:
        self.changes.append((request, key))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


READY = ActionEnd(serial=2, revision=2, state=InstanceState.READY, is_ready=True)


@pytest.fixture
def workflows() -> Workflows:
    return Workflows()


@pytest.fixture
async def ensurer(database: Database, workflows: Workflows, monkeypatch: pytest.MonkeyPatch) -> SqlInstanceEnsurer:
    monkeypatch.setattr(ensure, "LOOK_SECONDS", 0.01)
    async with database.write() as session:
        session.add(NodeRow(id="n", name="n", status=NodeStatus.ONLINE.value))
    return SqlInstanceEnsurer(database, workflows)  # type: ignore[arg-type]


def asked(**fields: Any) -> EnsureInstance:
    instance = ResolvedInstance(id="arena", group="deploy", auto_revert=False)
    spec = spec_of(make_container(), instance, "server", 60)
    usual = {"key": make_key(step="server"), "pipeline": "deploy", "node": "n", "within": 60.0}
    return EnsureInstance(**(usual | {"instance": instance, "spec": spec} | fields))


async def settle(database: Database, **fields: Any) -> None:
    """As the workflow of the instance does at the end of an action."""
    async with database.write() as session:
        row = await InstanceRepository(session).get("arena")
        for name, value in ({"operation": None, "state": InstanceState.READY.value} | fields).items():
            setattr(row, name, value)


async def test_the_first_try_makes_the_instance_and_waits_for_it(
    database: Database, ensurer: SqlInstanceEnsurer, workflows: Workflows
) -> None:
    what = asked()
    for _ in range(2):
        await ensurer.accept(what)
    async with database.read() as session:
        row = await InstanceRepository(session).get("arena")
        revisions = await InstanceRepository(session).revisions("arena", None, 100)
    assert (row.pipeline, row.step, row.run_id, row.group) == ("deploy", "server", what.key.run_id, "deploy")
    assert [found.revision for found in revisions] == [1]
    await settle(database, container_id="c1", ports=["1->2/tcp"], running_revision=1)
    end = await ensurer.change(what)
    assert (end.is_ready, end.revision, end.container_id, end.ports) == (True, 1, "c1", ["1->2/tcp"])
    assert (workflows.started, workflows.changes) == (["arena"], [])


async def test_the_end_names_the_ports_that_the_revision_was_given(
    database: Database, ensurer: SqlInstanceEnsurer, workflows: Workflows
) -> None:
    ports = make_container(ports=["game=0:27015=/udp", "8080:80"])
    what = asked(spec=spec_of(ports, ResolvedInstance(id="arena"), "server", 60))
    await ensurer.accept(what)
    await settle(database, running_revision=1)
    started, ready = await ensurer.started(what), await ensurer.change(what)
    assert started is not None
    assert started.named_ports == ready.named_ports == {"game": 20_000, "80": 8080}


async def test_another_try_makes_the_next_revision(
    database: Database, ensurer: SqlInstanceEnsurer, workflows: Workflows
) -> None:
    await ensurer.accept(asked())
    await settle(database)
    again = asked()
    await ensurer.accept(again)
    workflows.answers = [READY]
    assert await ensurer.change(again) == READY
    ((request, key),) = workflows.changes
    assert (request.auto_revert, request.waits, request.starts) == (False, True, True)
    assert (request.by, key, request.run_id) == (again.by, again.by, again.key.run_id)


async def test_a_server_whose_disk_is_nearly_full_makes_no_instance_and_goes_on_with_those_that_are_there(
    database: Database, ensurer: SqlInstanceEnsurer
) -> None:
    async with database.write() as session:
        record(session, Event(kind=EventKind.SERVER_DISK_LOW, message="the disk of /x is nearly full"))
    with pytest.raises(UnavailableError, match="no new work is taken: the disk of /x is nearly full") as caught:
        await ensurer.accept(asked())
    assert caught.value.code == "disk_full"
    async with database.write() as session:
        record(session, Event(kind=EventKind.SERVER_DISK_FREE))
    await ensurer.accept(asked())
    async with database.write() as session:
        record(session, Event(kind=EventKind.SERVER_DISK_LOW, message="the disk of /x is nearly full"))
    await ensurer.accept(asked())


@pytest.mark.parametrize(
    ("fields", "state", "reverted"),
    [
        ({"revision": 2, "state": "crash_loop", "reason": "oom"}, InstanceState.CRASH_LOOP, False),
        ({"revision": 1}, InstanceState.FAILED, True),
    ],
)
async def test_a_change_whose_answer_was_lost_is_waited_for_by_its_row(
    database: Database,
    ensurer: SqlInstanceEnsurer,
    workflows: Workflows,
    fields: dict[str, Any],
    state: InstanceState,
    reverted: bool,
) -> None:
    await ensurer.accept(asked())
    what = asked()
    async with database.write() as session:
        spec = what.spec.model_dump(mode="json", exclude_unset=True)
        made = InstanceRevisionRow(
            instance_id="arena", revision=2, spec=spec, created_by=what.by, run_id=what.key.run_id
        )
        session.add(made)
    await settle(database, **fields)
    end = await ensurer.change(what)
    assert (end.revision, end.state, end.reverted) == (2, state, reverted)
    assert workflows.changes == []


async def test_a_refusal_for_good_is_no_wait(
    database: Database, ensurer: SqlInstanceEnsurer, workflows: Workflows
) -> None:
    await ensurer.accept(asked())
    workflows.answers = [ConflictError("update by ann goes on"), ConflictError("no room", code="InstanceRefused")]
    with pytest.raises(ConflictError, match="goes on"):
        await ensurer.change(asked())
    with pytest.raises(InvalidError, match="no room"):
        await ensurer.change(asked())


async def test_a_workflow_that_is_not_there_is_begun(ensurer: SqlInstanceEnsurer, workflows: Workflows) -> None:
    await ensurer.accept(asked())
    workflows.answers = [NotFoundError("no workflow"), READY]
    assert await ensurer.change(asked()) == READY
    assert workflows.started == ["arena"]


async def test_one_of_others_is_refused(database: Database, ensurer: SqlInstanceEnsurer) -> None:
    async with database.write() as session:
        session.add(InstanceRow(id="arena", node_id="n", pipeline="other"))
    with pytest.raises(ConflictError, match="belongs to pipeline other"):
        await ensurer.accept(asked())


@pytest.mark.parametrize(
    ("node", "fields", "words"),
    [
        (NodeStatus.ONLINE, {"state": "preparing", "message": "pulling i"}, "it is preparing, pulling i"),
        (NodeStatus.OFFLINE, {}, "node n is offline"),
    ],
)
async def test_what_is_seen_is_told(
    database: Database, ensurer: SqlInstanceEnsurer, node: NodeStatus, fields: dict[str, Any], words: str
) -> None:
    await ensurer.accept(asked())
    async with database.write() as session:
        row, machine = await InstanceRepository(session).get("arena"), await session.get(NodeRow, "n")
        assert machine is not None
        machine.status = node.value
        for name, value in fields.items():
            setattr(row, name, value)
    assert await ensurer.seen("arena") == words
    assert await ensurer.seen("unknown") == ""


async def test_a_reason_is_kept(database: Database, ensurer: SqlInstanceEnsurer) -> None:
    what = asked()
    await ensurer.accept(what)
    await settle(database, state="failed", reason="pull_failed", message="no such image")
    end = await ensurer.change(what)
    assert (end.reason, end.message) == (InstanceReason.PULL_FAILED, "no such image")
