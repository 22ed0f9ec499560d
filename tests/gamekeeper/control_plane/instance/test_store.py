"""SqlInstanceStore: what is missing beside an instance is not the instance, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gamekeeper.control_plane.instance.store import SqlInstanceStore
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow, NodeRow
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.instance.control import ActionBegin, ActionFinish, InstanceAction
from gamekeeper.domain.instance.state import Desired
from gamekeeper.errors import ConflictError, NotFoundError


def begin(instance: str) -> ActionBegin:
    return ActionBegin(
        instance=instance, token="t", action=InstanceAction.START, serial=1, desired=Desired.RUNNING, by="key:eva"
    )


async def test_a_revert_is_told_from_the_revision_that_could_not_take_over(database: Database) -> None:
    async with database.write() as session:
        session.add(NodeRow(id="node-1", name="node-1"))
        session.add(InstanceRow(id="arena", node_id="node-1", serial=1, revision=4, running_revision=1, state="ready"))
        await session.flush()
        for number in (1, 4):
            spec = {"container": {"image": f"i:{number}"}}
            session.add(InstanceRevisionRow(instance_id="arena", revision=number, spec=spec))
    revert = begin("arena").model_copy(
        update={"action": InstanceAction.REVERT, "serial": 2, "revision": 1, "reason": "no image"}
    )
    begun = await SqlInstanceStore(database).begin(revert)
    async with database.read() as session:
        told = await EventRepository(session).page(EventFilter(instance="arena"), cursor=None, limit=9)
    assert (begun.revision, [row.message for row in told.rows]) == (1, ["revision 4 -> 1: no image"])


async def test_a_revision_that_is_missing_is_no_end_of_the_instance(database: Database) -> None:
    store = SqlInstanceStore(database)
    async with database.write() as session:
        session.add(InstanceRow(id="arena", node_id="node-1", serial=1))
    with pytest.raises(ConflictError, match="no revision 1"):
        await store.begin(begin("arena"))
    with pytest.raises(ConflictError, match="no revision 1"):
        await store.finish(ActionFinish(instance="arena", serial=1, action=InstanceAction.START, failure="x"))
    with pytest.raises(NotFoundError):
        await store.begin(begin("nobody"))


async def test_what_is_told_of_an_earlier_instance_of_the_id_changes_nothing(database: Database) -> None:
    """The answer to the control worker was lost, and it writes the end of a removal once more."""
    store = SqlInstanceStore(database)
    async with database.write() as session:
        session.add(NodeRow(id="node-1", name="node-1"))
        session.add(InstanceRow(id="arena", node_id="node-1", serial=2, operation={"action": "create", "serial": 1}))
        await session.flush()
        session.add(InstanceRevisionRow(instance_id="arena", revision=1, spec={"container": {"image": "i:1"}}))
    async with database.read() as session:
        row = await InstanceRepository(session).get("arena")
    earlier = row.created_at - timedelta(microseconds=1)
    with pytest.raises(NotFoundError):
        await store.begin(begin("arena").model_copy(update={"made": earlier}))
    ended = ActionFinish(instance="arena", serial=2, action=InstanceAction.REMOVE, failure="x", made=earlier)
    with pytest.raises(NotFoundError):
        await store.finish(ended)
    async with database.read() as session:
        assert await InstanceRepository(session).get("arena") == row
    begun = await store.begin(begin("arena").model_copy(update={"made": row.created_at}))
    assert begun.serial == 3
