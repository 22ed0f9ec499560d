"""Work that workflows ask for while a disk of the server is nearly full, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from gamekeeper.control_plane.intake.for_workflows import SqlRunIntake
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import NodeRow, PipelineRow
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.resolved import ResolvedCall
from gamekeeper.domain.run.run import RunCall
from gamekeeper.domain.run.schedule import ScheduledRun
from gamekeeper.errors import ConflictError, UnavailableError

TROUBLE = "the disk of /x is nearly full"
SPEC = "name: p\nsteps: [{name: a, node: n, container: {image: i}}]"


async def tell(database: Database, kind: EventKind) -> None:
    async with database.write() as session:
        record(session, Event(kind=kind, message=TROUBLE if kind is EventKind.SERVER_DISK_LOW else ""))


@pytest.fixture
async def intake(database: Database) -> SqlRunIntake:
    async with database.write() as session:
        session.add(NodeRow(id="n", name="n"))
        session.add(PipelineRow(name="p", version=1, source=SPEC))
    return SqlRunIntake(database)


def called(run_id: str) -> RunCall:
    call = ResolvedCall(name="p")
    return RunCall(run_id=run_id, call=call, parent_run="", parent_step="", started_by="w", callers=[], node_wait=10)


def scheduled(run_id: str) -> ScheduledRun:
    return ScheduledRun(run_id=run_id, schedule="nightly", pipeline="p", started_by="w", node_wait=10)


async def test_a_time_of_a_schedule_is_let_go_with_words(database: Database, intake: SqlRunIntake) -> None:
    await tell(database, EventKind.SERVER_DISK_LOW)
    with pytest.raises(ConflictError, match=f"no new work is taken: {TROUBLE}"):
        await intake.accept_scheduled(scheduled("0123456789abcdef"))
    async with database.read() as session:
        told = await EventRepository(session).newest_of(EventKind.SCHEDULE_REFUSED)
    assert told is not None
    assert told.message.startswith(f"nightly: no new work is taken: {TROUBLE}; free space there")
    await tell(database, EventKind.SERVER_DISK_FREE)
    await intake.accept_scheduled(scheduled("0123456789abcdef"))


async def test_a_called_run_waits_and_an_accepted_one_is_no_new_work(database: Database, intake: SqlRunIntake) -> None:
    known = await intake.accept_call(called("0123456789abcdef"))
    await tell(database, EventKind.SERVER_DISK_LOW)
    assert await intake.accept_call(called("0123456789abcdef")) == known
    with pytest.raises(UnavailableError, match=TROUBLE):  # which is no refusal: the activity is tried again
        await intake.accept_call(called("0123456789abcde0"))
    await tell(database, EventKind.SERVER_DISK_FREE)
    await intake.accept_call(called("0123456789abcde0"))
