"""Quotas where instances are made and changed, by several at once too. On SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gamekeeper.control_plane.instance.accept import InstanceAcceptance, InstanceOrigin
from gamekeeper.control_plane.instance.plan import InstancePlan, InstanceSubmission
from gamekeeper.control_plane.instance.store import SqlInstanceStore
from gamekeeper.control_plane.placement.instance import owner_of
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRow, NodeRow, QuotaRow, ReservationRow, UserRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.quota import QuotaRepository
from gamekeeper.db.repositories.reservation import ReservationRepository
from gamekeeper.domain.access.access import access_of
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.instance.control import ActionBegin, Asker, InstanceAction
from gamekeeper.domain.instance.document import InstanceDocument
from gamekeeper.domain.instance.quota import QuotaUse
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.source import Document
from gamekeeper.domain.language.step import Strategy
from gamekeeper.domain.node.ability import Ability
from gamekeeper.errors import ConflictError
from tests.hang import HANG_SECONDS

MIA, BOB, ADA = "user:00000000000000aa", "user:00000000000000bb", "user:00000000000000cc"
GIB = 2**30


@pytest.fixture
async def node(database: Database) -> Database:
    capacity, system = {"cpus": 1000, "memory_bytes": 1000 * GIB}, {"abilities": [each.value for each in Ability]}
    async with database.write() as session:
        session.add(NodeRow(id="n1", name="n1", status="online", capacity=capacity, system=system))
        session.add(UserRow(id=MIA[5:], name="mia", name_key="mia", name_looks="mia"))
    return database


def spec(cpus: str | None = None, ports: Sequence[str] = ()) -> InstanceSpec:
    limits = {"deploy": {"resources": {"limits": {"cpus": cpus}}}} if cpus else {}
    return InstanceSpec(container=Container.model_validate({"image": "i", "ports": list(ports)} | limits))


async def make(database: Database, id_: str, what: InstanceSpec, owner: str = MIA) -> None:
    plan = InstancePlan(id_, InstanceDocument(id=id_, node="n1"), what, Document(None))
    origin = InstanceOrigin(by="user:mia", owner=owner, access=access_of(owner, Role.ADMIN))
    await InstanceAcceptance(database).accept_plan(plan, origin, InstanceSubmission())


async def ask(
    database: Database,
    id_: str,
    action: InstanceAction,
    desired: Desired = Desired.RUNNING,
    asker: str = MIA,
    **more: Any,
) -> None:
    async with database.read() as session:
        serial = (await session.get_one(InstanceRow, id_)).serial + 1
    asked = ActionBegin(
        instance=id_,
        token=f"{action}-{serial}",
        action=action,
        serial=serial,
        desired=desired,
        by="user:somebody",
        asker=Asker(id=asker.partition(":")[2]),
        **more,
    )
    await SqlInstanceStore(database).begin(asked)


async def limit(database: Database, owner: str = MIA, **limits: Any) -> None:
    async with database.write() as session:
        await QuotaRepository(session).put(QuotaRow(owner=owner, **limits))


async def use(database: Database, owner: str = MIA) -> QuotaUse:
    async with database.read() as session:
        return await QuotaRepository(session).use(owner)


async def test_the_last_slot_goes_to_one_of_two(node: Database) -> None:
    await limit(node, instances=3)
    await make(node, "a", spec())
    made = await asyncio.gather(*(make(node, f"b{n}", spec()) for n in range(6)), return_exceptions=True)
    refused = [found for found in made if found is not None]
    assert len(refused) == 4
    assert all(isinstance(found, ConflictError) and found.code == "quota" for found in refused)
    assert (await use(node)).instances == 3
    await make(node, "of-bob", spec(), owner=BOB)


async def test_a_refusal_says_what_and_leaves_nothing(node: Database) -> None:
    await limit(node, cpus=4, ports=1)
    await make(node, "a", spec("3.5"))
    with pytest.raises(ConflictError) as found:
        await make(node, "b", spec("1", ["0:80", "0:81"]))
    assert found.value.message == (
        'the quota of the user "mia" is exceeded: 3.5 of 4 CPUs are used, and 1 more is asked for; '
        "0 of 1 ports are used, and 2 more is asked for"
    )
    assert "gamekeeper user quota mia" in found.value.hint
    async with node.read() as session:
        assert await session.get(InstanceRow, "b") is None
        assert sum(each.cpus for each in (await ReservationRepository(session).used()).values()) == 3.5


async def test_without_limits_an_instance_counts_with_the_least(node: Database) -> None:
    await limit(node, cpus=0.25)
    await make(node, "a", spec())
    await make(node, "b", spec())
    held = await use(node)
    assert (held.instances, round(held.cpus, 6), held.memory_bytes, held.ports) == (2, 0.2, 2 * 128 * 2**20, 0)
    with pytest.raises(ConflictError, match=r"0.2 of 0.25 CPUs are used, and 0.1 more"):
        await make(node, "c", spec())


async def test_a_revision_that_asks_for_more(node: Database) -> None:
    await limit(node, cpus=4)
    await make(node, "a", spec("2"))
    with pytest.raises(ConflictError, match="2 of 4 CPUs are used, and 3 more"):
        await ask(node, "a", InstanceAction.UPDATE, spec=spec("5"))
    with pytest.raises(ConflictError, match="2 of 4 CPUs are used, and 3 more"):  # both for a while
        await ask(node, "a", InstanceAction.UPDATE, spec=spec("3"), strategy=Strategy.BLUE_GREEN)
    await ask(node, "a", InstanceAction.UPDATE, spec=spec("4"))
    await limit(node, cpus=1)
    await ask(node, "a", InstanceAction.UPDATE, spec=spec("1.5"))  # less than before
    await ask(node, "a", InstanceAction.REVERT, revision=2)


@pytest.mark.parametrize("asker", [BOB, "user:"], ids=["somebody else", "a schedule"])
async def test_whose_quota_it_is_and_how_much_is_for_its_owner_and_for_admins(node: Database, asker: str) -> None:
    await make(node, "a", spec("2"))
    await limit(node, cpus=4)
    with pytest.raises(ConflictError) as found:
        await ask(node, "a", InstanceAction.UPDATE, spec=spec("5"), asker=asker)
    assert (found.value.message, found.value.code) == ("the quota of the instance's owner is exceeded", "quota")
    assert "mia" not in found.value.hint
    async with node.write() as session:
        session.add(UserRow(id=ADA[5:], name="ada", name_key="ada", name_looks="ada", role="admin"))
    with pytest.raises(ConflictError, match='of the user "mia" is exceeded: 2 of 4 CPUs'):
        await ask(node, "a", InstanceAction.UPDATE, spec=spec("5"), asker=ADA)


async def test_more_memory_than_a_database_counts(node: Database) -> None:
    async with node.write() as session:
        for id_ in ("a", "b"):
            session.add(InstanceRow(id=id_, node_id="n1", owner=MIA))
            session.add(ReservationRow(owner_kind="instance", owner_id=id_, node_id="n1", cpus=1.0, memory_bytes=2**62))
    assert (await use(node)).memory_bytes == 2**63


async def test_a_rollback_that_asks_for_more(node: Database) -> None:
    await make(node, "a", spec("3"))
    await ask(node, "a", InstanceAction.UPDATE, spec=spec("1"))
    async with node.write() as session:  # the update has come to its end
        held = await ReservationRepository(session).find(owner_of("a"))
        assert held is not None
        held.cpus = 1
    await limit(node, cpus=2)
    with pytest.raises(ConflictError, match="1 of 2 CPUs are used, and 2 more"):
        await ask(node, "a", InstanceAction.ROLLBACK)


async def test_one_that_is_down_comes_up_within_the_quota_alone(node: Database) -> None:
    await make(node, "a", spec("2"))
    await make(node, "b", spec("2"))
    await ask(node, "a", InstanceAction.STOP, Desired.STOPPED)
    await limit(node, cpus=3)
    with pytest.raises(ConflictError, match="4 of 3 CPUs are used"):
        await ask(node, "a", InstanceAction.START)
    await ask(node, "b", InstanceAction.RESTART)
    await ask(node, "b", InstanceAction.STOP, Desired.STOPPED)
    async with node.write() as session:
        (await session.get_one(InstanceRow, "a")).deleted_at = utc_now()
    await ask(node, "b", InstanceAction.START)


async def test_a_user_that_is_gone_has_no_quota(node: Database) -> None:
    await limit(node, instances=1)
    await make(node, "a", spec("2"))
    async with node.write() as session:
        await QuotaRepository(session).delete_of([MIA])
    await ask(node, "a", InstanceAction.UPDATE, spec=spec("5"))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=8),
    instances=st.integers(min_value=0, max_value=6),
    tenths=st.integers(min_value=0, max_value=60),
)
async def test_however_many_at_once_never_more_than_the_quota(
    node: Database, sizes: list[int], instances: int, tenths: int
) -> None:
    """Whoever was let in fits in together, and whoever was refused would not have."""
    async with node.write() as session:
        for row in [await session.get(InstanceRow, f"i{n}") for n in range(8)]:
            if row is not None and row.deleted_at is None:
                row.deleted_at = utc_now()
                await ReservationRepository(session).remove(owner_of(row.id))
    await limit(node, instances=instances, cpus=tenths / 10)
    making = [make(node, f"i{n}", spec(str(size / 10))) for n, size in enumerate(sizes)]
    async with asyncio.timeout(HANG_SECONDS):
        made = await asyncio.gather(*making, return_exceptions=True)
    assert all(found is None or (isinstance(found, ConflictError) and found.code == "quota") for found in made)
    let_in = [size for size, found in zip(sizes, made, strict=True) if found is None]
    held = await use(node)
    assert (held.instances, round(held.cpus * 10)) == (len(let_in), sum(let_in))
    assert len(let_in) <= instances
    assert sum(let_in) <= tenths
    for size, found in zip(sizes, made, strict=True):
        assert found is None or len(let_in) == instances or sum(let_in) + size > tenths
