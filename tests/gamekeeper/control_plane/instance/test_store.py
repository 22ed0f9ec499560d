"""SqlInstanceStore: what is missing beside an instance is not the instance, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gamekeeper.control_plane.instance.store import SqlInstanceStore
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow, NodeRow
from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.access import Scope
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.instance.control import ActionBegin, ActionFinish, InstanceAction
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired
from gamekeeper.domain.language.container import Container
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


async def test_one_that_takes_a_group_by_an_update_is_seen_in_it(database: Database) -> None:
    """Nobody else gets into the group without its leave."""
    async with database.write() as session:
        session.add(NodeRow(id="node-1", name="node-1", capacity={"cpus": 4, "memory_bytes": 2**33}))
        session.add(InstanceRow(id="arena", node_id="node-1", state="ready"))
        await session.flush()
        session.add(InstanceRevisionRow(instance_id="arena", revision=1, spec={"container": {"image": "i"}}))
    store, seen = SqlInstanceStore(database), []
    spec = InstanceSpec(container=Container(image="i"), group="shop")
    asked: list[tuple[InstanceAction, dict[str, Any]]] = [
        (InstanceAction.UPDATE, {"spec": spec}),
        (InstanceAction.REVERT, {"revision": 1}),
        (InstanceAction.ROLLBACK, {"revision": 2}),
    ]
    for serial, (action, more) in enumerate(asked, 2):
        told = {"token": str(serial), "action": action, "serial": serial, "run_id": "run"}
        await store.begin(begin("arena").model_copy(update=told | more))
        async with database.read() as session:
            nobodys = Scope(ObjectKind.INSTANCE, "", ())
            seen.append(await TargetRepository(session).group_has_others("shop", nobodys))
    assert seen == [True, False, True]
