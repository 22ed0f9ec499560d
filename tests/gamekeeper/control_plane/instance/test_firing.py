"""Firings are decided once and asked for once, whatever dies in between, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from sqlmodel import col, select

from gamekeeper.control_plane.instance.firing import SqlInstanceSchedules
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import EventRow, InstanceRow, InstanceScheduleRow, NodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance_schedule import InstanceScheduleRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.control import REFUSED, ActionEnd, PowerRequest
from gamekeeper.domain.instance.missed import stamp
from gamekeeper.domain.instance.schedule import Fired, Firing, FiringEnd, FiringOutcome
from gamekeeper.errors import ConflictError, UnavailableError
from gamekeeper.temporal.instance_workflows import InstanceWorkflows


class Workflows:
    """``asked`` are the keys in their order; the next call raises ``error``."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.error: Exception | None = None

    async def power(self, instance: str, request: PowerRequest, key: str) -> ActionEnd:
        self.asked.append((request.by, key))
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return ActionEnd(serial=2, revision=1)


class Plane:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.workflows = Workflows()
        self.schedules = SqlInstanceSchedules(database, cast(InstanceWorkflows, self.workflows))

    async def fire(self, token: str = "t-1", at: datetime | None = None, **fields: Any) -> Fired:
        firing = Firing(instance="arena", name="nightly", token=token, at=at or utc_now(), number=7, **fields)
        return await self.schedules.begin(firing)

    async def row(self) -> InstanceScheduleRow:
        async with self.database.read() as session:
            return await InstanceScheduleRepository(session).get("arena", "nightly")

    async def change(self, **fields: Any) -> None:
        async with self.database.write() as session:
            row = await InstanceScheduleRepository(session).get("arena", "nightly")
            for name, value in fields.items():
                setattr(row, name, value)

    async def events(self) -> list[tuple[str, str]]:
        async with self.database.read() as session:
            rows = (await session.exec(select(EventRow).order_by(col(EventRow.seq)))).all()
        return [(row.reason, row.message) for row in rows]


@pytest.fixture
async def plane(database: Database) -> Plane:
    async with database.write() as session:
        session.add(NodeRow(id="node-1", name="node-1", status="online"))
        session.add(InstanceRow(id="arena", node_id="node-1", serial=1, state="ready"))
        await session.flush()
        session.add(
            InstanceScheduleRow(
                instance_id="arena", name="nightly", cron="0 5 * * *", timezone="UTC", action="restart", is_told=True
            )
        )
    return Plane(database)


async def test_a_call_that_is_repeated_asks_for_the_same(plane: Plane) -> None:
    """The control worker died before it could note the answer: the key makes it one action."""
    plane.workflows.error = UnavailableError("Temporal does not answer")
    with pytest.raises(UnavailableError):
        await plane.fire()
    assert (await plane.fire()).outcome is FiringOutcome.BEGUN
    assert plane.workflows.asked == [("schedule:nightly", "t-1")] * 2
    assert await plane.events() == []


async def test_the_times_that_came_are_remembered_and_those_by_hand_are_none(plane: Plane) -> None:
    now = utc_now()
    for token, by_hand in (("t-1", False), ("t-1", False), ("t-2", True)):
        await plane.fire(token, at=now, by_hand=by_hand)
    assert (await plane.row()).came == [stamp(now)]


async def test_a_firing_that_has_ended_is_not_begun_again(plane: Plane) -> None:
    await plane.fire()
    await plane.change(last_outcome="done")
    assert (await plane.fire()).outcome is FiringOutcome.DONE
    assert len(plane.workflows.asked) == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConflictError("restart by key:eva goes on"), FiringOutcome.BUSY),
        (ConflictError("there is no revision 7", code=REFUSED), FiringOutcome.FAILED),
    ],
)
async def test_what_is_refused_is_told(plane: Plane, error: ConflictError, outcome: FiringOutcome) -> None:
    plane.workflows.error = error
    assert (await plane.fire()).outcome is outcome
    assert await plane.events() == [(outcome.value, f"nightly: restart: {error.message}")]


async def test_a_time_that_nobody_could_look_at_is_missed(plane: Plane) -> None:
    fired = await plane.fire(at=utc_now() - timedelta(minutes=12))
    assert fired.outcome is FiringOutcome.MISSED
    ((reason, message),) = await plane.events()
    assert (reason, message[-11:]) == ("missed", "12 min late")
    assert (await plane.fire("t-2", at=utc_now() - timedelta(minutes=9))).outcome is FiringOutcome.BEGUN
    assert len(plane.workflows.asked) == 1


async def test_an_action_that_could_not_be_asked_for_in_time_is_missed(plane: Plane) -> None:
    """Temporal was away for hours after the decision. One that goes on all the same is not missed."""
    plane.workflows.error = UnavailableError("Temporal does not answer")
    early = utc_now() - timedelta(minutes=9)
    with pytest.raises(UnavailableError):
        await plane.fire(at=early)
    late = early - timedelta(minutes=9)
    async with plane.database.write() as session:
        row = await session.get(InstanceRow, "arena")
        assert row is not None
        row.operation = {"by": "schedule:nightly"}
    assert (await plane.fire(at=late)).outcome is FiringOutcome.BEGUN
    async with plane.database.write() as session:
        row = await session.get(InstanceRow, "arena")
        assert row is not None
        row.operation = None
    assert (await plane.fire(at=late)).outcome is FiringOutcome.MISSED


async def test_one_that_was_paused_meanwhile_does_nothing_by_itself(plane: Plane) -> None:
    await plane.change(paused=True)
    assert (await plane.fire()).outcome is FiringOutcome.SKIPPED
    assert (await plane.fire("t-2", by_hand=True)).outcome is FiringOutcome.BEGUN


@pytest.mark.parametrize(
    ("action", "outcome"),
    [("restart", FiringOutcome.SKIPPED), ("start", FiringOutcome.SKIPPED), ("stop", FiringOutcome.BEGUN)],
)
async def test_a_server_whose_disk_is_nearly_full_begins_nothing_but_a_stop(
    plane: Plane, action: str, outcome: FiringOutcome
) -> None:
    await plane.change(action=action)
    async with plane.database.write() as session:
        record(session, Event(kind=EventKind.SERVER_DISK_LOW, message="the disk of /x is nearly full"))
        row = await session.get(InstanceRow, "arena")
        assert row is not None
        row.state, row.desired = ("stopped", "stopped") if action == "start" else ("ready", "running")
    assert (await plane.fire()).outcome is outcome
    told = (await plane.row()).last_message
    assert told == ("no new work is taken: the disk of /x is nearly full" if outcome is FiringOutcome.SKIPPED else "")


async def test_what_was_removed_does_nothing(plane: Plane) -> None:
    await plane.change(is_removed=True)
    assert await plane.fire() == Fired()
    async with plane.database.write() as session:
        row = await session.get(InstanceRow, "arena")
        assert row is not None
        row.deleted_at = utc_now()
    assert await plane.fire() == Fired()
    assert plane.workflows.asked == []


async def test_a_line_has_its_end_once(plane: Plane) -> None:
    await plane.change(action="command", command="say soon")
    line = (await plane.fire()).line
    assert line is not None
    assert (line.node, line.schedule, line.number, line.text) == ("node-1", "nightly", 7, "say soon")
    assert (await plane.fire()).line == line
    for outcome in (FiringOutcome.DONE, FiringOutcome.FAILED):
        await plane.schedules.end(FiringEnd(instance="arena", name="nightly", token="t-1", outcome=outcome))
    assert (await plane.row()).last_outcome == "done"
    assert await plane.events() == [("done", "nightly: say soon")]
    await plane.schedules.end(FiringEnd(instance="arena", name="nightly", token="t-0", outcome=outcome))
    assert (await plane.row()).last_outcome == "done"
