"""Joins by a join key: one use a machine, one machine an id, and no identity of a node without an operator."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update

from api.services.access.enrolment import Enrolled
from api.services.access.join_approval import KEYS_KEPT, JoinApprovalService
from api.services.access.join_key import JoinKeyService
from api.services.access.key_join import MAX_UNDONE, WAIT, KeyJoinService, Machine
from gamekeeper.db.engine import Database
from gamekeeper.db.models import EventRow, JoinKeyRow, JoinRow, NodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.domain.node.join import KeyState, short_fingerprint
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError, UnauthenticatedError
from gamekeeper.keys import JOIN_KEY_PREFIX, hash_key

PIN = "PIN"
HOUR = timedelta(hours=1)


class Keys:
    """The services over one database, and machines that are known by their numbers."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.told: list[str] = []
        self.keys = JoinKeyService(database, lambda: PIN)
        self.joins = KeyJoinService(database, self.told.append)
        self.approvals = JoinApprovalService(database)

    async def make(self, **fields: Any) -> tuple[str, JoinKeyRow]:
        return await self.keys.make({"max_uses": 1} | fields, HOUR)

    async def join(self, key: str, number: int = 1, host: str = "gpu-1", **words: Any) -> Enrolled | JoinRow:
        return await self.joins.register(key, fingerprint(number), Machine(host=host, **words))

    async def enrolled(self, key: str, number: int = 1, host: str = "gpu-1", **words: Any) -> Enrolled:
        found = await self.join(key, number, host, **words)
        assert isinstance(found, Enrolled), found
        return found

    async def waiting(self, key: str, number: int = 1, host: str = "gpu-1") -> JoinRow:
        found = await self.join(key, number, host)
        assert isinstance(found, JoinRow), found
        return found

    async def uses(self, row: JoinKeyRow) -> int:
        return (await self.keys.get(row.id)).uses

    async def node(self, node_id: str) -> NodeRow | None:
        async with self.database.read() as session:
            return await session.get(NodeRow, node_id)

    async def events(self) -> list[EventRow]:
        async with self.database.read() as session:
            return list((await session.exec(select(EventRow).order_by(col(EventRow.seq)))).all())

    async def kinds(self) -> list[str]:
        return [event.kind for event in await self.events()]

    async def age(self, *, keys: timedelta = timedelta(), joins: timedelta = timedelta()) -> None:
        """Lets time pass for all rows."""
        async with self.database.write() as session:
            for row in (await session.exec(select(JoinKeyRow))).all():
                row.expires_at -= keys
            for join in (await session.exec(select(JoinRow))).all():
                join.expires_at -= joins


def fingerprint(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


async def test_a_machine_becomes_a_node_as_the_key_says(keys: Keys) -> None:
    key, row = await keys.make(
        labels={"pool": "arena"}, capacity_override={"gpus": 2}, policy={"privileged": True}, name_pattern="a-{host}"
    )
    assert key.startswith(JOIN_KEY_PREFIX)
    assert key.endswith(f".{PIN}")
    joined = await keys.enrolled(key, host="GPU_1.example.com")
    assert (joined.node_id, joined.policy) == ("a-gpu-1", {"privileged": True})
    node = await keys.node("a-gpu-1")
    assert node is not None
    assert (node.labels, node.capacity_override) == ({"pool": "arena"}, {"gpus": 2})
    assert (node.key_hash, node.generation) == (hash_key(joined.node_key), joined.generation)
    assert keys.told == ["a-gpu-1"]
    assert await keys.kinds() == ["node.join_key_made", "node.created", "node.registered"]
    assert (await keys.keys.get(row.id)).state is KeyState.USED_UP


async def test_the_key_is_in_no_row_and_no_event(keys: Keys) -> None:
    key, row = await keys.make(approve=True)
    await keys.waiting(key)
    await keys.approvals.approve((await keys.waiting(key)).id, node_id="", replaces=False)
    await keys.enrolled(key)
    secret = key.partition(".")[0].removeprefix(JOIN_KEY_PREFIX)
    stored = await keys.keys.get(row.id)
    assert stored.key_hash == hash_key(key.partition(".")[0])
    page = await keys.approvals.page(state=None, cursor=None, limit=10)
    assert secret not in f"{stored!r} {page!r} {await keys.events()!r}"


@pytest.mark.parametrize("key", ["gkj_unknown", "gkj_", "gkj_.PIN", "gkj_" + "x" * 190])
async def test_an_unknown_key_lets_nobody_in(keys: Keys, key: str) -> None:
    await keys.make()
    with pytest.raises(UnauthenticatedError, match="not known here"):
        await keys.join(key)
    assert await keys.node("gpu-1") is None


async def test_a_key_that_is_over_says_why(keys: Keys) -> None:
    used, _ = await keys.make()
    await keys.join(used, 1, "one")
    with pytest.raises(UnauthenticatedError, match="is used up: it was good for 1 machine; "):
        await keys.join(used, 2, "two")
    revoked, row = await keys.make()
    await keys.keys.revoke(row.id)
    await keys.keys.revoke(row.id)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await keys.join(revoked, 2, "two")
    expired, row = await keys.make()
    await keys.age(keys=HOUR)
    with pytest.raises(UnauthenticatedError, match="expired at"):
        await keys.join(expired, 2, "two")
    assert (await keys.keys.get(row.id)).state is KeyState.EXPIRED
    assert await keys.node("two") is None
    assert (await keys.kinds()).count("node.join_key_revoked") == 1


async def test_of_many_machines_at_once_as_many_get_in_as_the_key_has_uses(keys: Keys) -> None:
    key, row = await keys.make(max_uses=3, name_pattern="edge-{n}")
    found = await asyncio.gather(*[keys.join(key, number) for number in range(8)], return_exceptions=True)
    joined = [item for item in found if isinstance(item, Enrolled)]
    assert sorted(item.node_id for item in joined) == ["edge-1", "edge-2", "edge-3"]
    refused = [item for item in found if not isinstance(item, Enrolled)]
    assert {type(item) for item in refused} == {UnauthenticatedError}
    assert await keys.uses(row) == 3


async def test_of_two_machines_with_one_use_left_one_wins(keys: Keys) -> None:
    key, _ = await keys.make()
    found = await asyncio.gather(keys.join(key, 1, "one"), keys.join(key, 2, "two"), return_exceptions=True)
    assert sorted(type(item).__name__ for item in found) == ["Enrolled", "UnauthenticatedError"]


async def test_of_machines_with_one_name_one_is_the_node_and_the_others_wait(keys: Keys) -> None:
    made = [(await keys.make())[0] for _ in range(4)]
    found = await asyncio.gather(*[keys.join(key, number, "same") for number, key in enumerate(made)])
    assert sorted(type(item).__name__ for item in found) == ["Enrolled", "JoinRow", "JoinRow", "JoinRow"]
    assert {item.reason for item in found if isinstance(item, JoinRow)} == {"name_taken"}


async def test_an_answer_that_was_lost_is_given_again_for_the_same_use(keys: Keys) -> None:
    key, row = await keys.make()
    first = await keys.enrolled(key)
    again = await keys.enrolled(key)
    assert (again.node_id, again.generation) == (first.node_id, first.generation + 1)
    assert again.node_key != first.node_key
    assert (await keys.kinds()).count("node.registered") == 1, "whoever asks for ever fills no event log"
    assert await keys.uses(row) == 1


async def test_a_node_that_was_revoked_or_removed_is_not_given_again(keys: Keys) -> None:
    key, _ = await keys.make(max_uses=3)
    await keys.enrolled(key)
    async with keys.database.write() as session:
        await session.exec(update(NodeRow).values(generation=NodeRow.generation + 1, key_hash=None))
    assert (await keys.waiting(key)).reason == "name_taken"


async def test_a_reinstalled_machine_is_its_node_by_approval_only(keys: Keys) -> None:
    key, row = await keys.make(max_uses=5)
    before = await keys.enrolled(key, 1)
    waits = await keys.waiting(key, 2)
    assert (waits.reason, waits.node_id, waits.id) == ("name_taken", "gpu-1", short_fingerprint(fingerprint(2)))
    node = await keys.node("gpu-1")
    assert node is not None
    assert node.key_hash == hash_key(before.node_key), "the node that is there keeps its identity"
    with pytest.raises(ConflictError, match="there is a node") as refused:
        await keys.approvals.approve(waits.id, node_id="", replaces=False)
    assert "--replace" in refused.value.hint
    assert isinstance(await keys.join(key, 2), JoinRow)
    await keys.approvals.approve(waits.id, node_id="", replaces=True)
    node = await keys.node("gpu-1")
    assert node is not None
    assert node.key_hash == hash_key(before.node_key), "until the machine comes"
    after = await keys.enrolled(key, 2)
    assert (after.node_id, after.generation) == ("gpu-1", before.generation + 1)
    assert await keys.uses(row) == 2
    assert isinstance(await keys.join(key, 1), JoinRow), "the machine before is another one now"


async def test_another_node_id_may_be_approved(keys: Keys) -> None:
    key, _ = await keys.make(max_uses=5, labels={"a": "b"})
    await keys.enrolled(key, 1)
    waits = await keys.waiting(key, 2)
    approved = await keys.approvals.approve(waits.id, node_id="gpu-2", replaces=False)
    assert (approved.state, approved.node_id) == ("approved", "gpu-2")
    await keys.approvals.approve(waits.id, node_id="gpu-2", replaces=False)
    with pytest.raises(ConflictError, match="is approved"):
        await keys.approvals.approve(waits.id, node_id="gpu-3", replaces=False)
    node = await keys.node("gpu-2")
    assert node is not None
    assert (node.labels, node.key_hash) == ({"a": "b"}, None)
    assert (await keys.enrolled(key, 2)).node_id == "gpu-2"
    with pytest.raises(ConflictError, match='is node "gpu-2" already'):
        await keys.approvals.approve(waits.id, node_id="gpu-3", replaces=False)
    with pytest.raises(ConflictError, match='is node "gpu-2" already'):
        await keys.approvals.refuse(waits.id, "")


async def test_an_approval_is_for_one_machine(keys: Keys) -> None:
    key, _ = await keys.make(max_uses=5, approve=True)
    approved = await keys.waiting(key, 1)
    await keys.approvals.approve(approved.id, node_id="", replaces=False)
    assert (await keys.waiting(key, 2)).reason == "name_taken"
    alike = fingerprint(1)[:16] + "0" * 48
    with pytest.raises(InvalidError, match="another machine has this short fingerprint"):
        await keys.joins.register(key, alike, Machine(host="gpu-1"))
    assert (await keys.enrolled(key, 1)).node_id == "gpu-1"


async def test_an_approval_is_void_when_the_node_changed_since(keys: Keys) -> None:
    key, row = await keys.make(approve=True)
    waits = await keys.waiting(key)
    await keys.approvals.approve(waits.id, node_id="", replaces=False)
    async with keys.database.write() as session:  # an operator enrolled it otherwise meanwhile
        await session.exec(update(NodeRow).values(generation=NodeRow.generation + 1))
    assert (await keys.waiting(key)).reason == "name_taken"
    assert await keys.uses(row) == 1


async def test_a_key_that_asks_for_approval(keys: Keys) -> None:
    key, row = await keys.make(approve=True)
    waits = await keys.waiting(key)
    assert (waits.reason, await keys.node("gpu-1")) == ("key_asks", None)
    with pytest.raises(UnauthenticatedError, match="is used up"):
        await keys.join(key, 2, "other")
    await keys.age(keys=HOUR)
    assert isinstance(await keys.join(key), JoinRow), "it came while the key was good"
    await keys.approvals.approve(waits.id, node_id="", replaces=False)
    assert (await keys.enrolled(key)).node_id == "gpu-1"
    assert await keys.uses(row) == 1
    assert await keys.kinds() == [
        "node.join_key_made",
        "node.join_waiting",
        "node.created",
        "node.join_approved",
        "node.registered",
    ]


async def test_a_refused_machine_is_told_so_by_whatever_key_until_it_is_removed(keys: Keys) -> None:
    key, row = await keys.make(approve=True)
    other, _ = await keys.make()
    waits = await keys.waiting(key)
    await keys.approvals.refuse(waits.id, "who are you?")
    await keys.approvals.refuse(waits.id, "who are you?")
    assert await keys.uses(row) == 0
    for brought in (key, other):
        with pytest.raises(UnauthenticatedError, match=r"refused this machine, [0-9a-f-]{19}: who are you\?"):
            await keys.join(brought)
    with pytest.raises(ConflictError, match="is refused"):
        await keys.approvals.approve(waits.id, node_id="", replaces=False)
    await keys.approvals.remove(waits.id)
    with pytest.raises(NotFoundError):
        await keys.approvals.remove(waits.id)
    assert isinstance(await keys.join(key), JoinRow)


async def test_a_revoked_key_ends_the_wait(keys: Keys) -> None:
    key, row = await keys.make(approve=True, max_uses=3)
    await keys.waiting(key, 1, "one")
    approved = await keys.waiting(key, 2, "two")
    await keys.approvals.approve(approved.id, node_id="", replaces=False)
    await keys.keys.revoke(row.id)
    for number in (1, 2):
        with pytest.raises(UnauthenticatedError, match="was revoked"):
            await keys.join(key, number)
    assert (await keys.approvals.page(state=None, cursor=None, limit=10)).rows == []


async def test_a_key_that_leaked_fills_no_list(keys: Keys) -> None:
    key, row = await keys.make(approve=True, max_uses=1000)
    other, _ = await keys.make(approve=True)
    for number in range(MAX_UNDONE):
        await keys.waiting(key, number, f"host-{number}")
    for refused in (await keys.approvals.page(state=None, cursor=None, limit=3)).rows:
        await keys.approvals.refuse(refused.id, "")
    with pytest.raises(
        UnauthenticatedError, match=f"{MAX_UNDONE} machines with join key {row.id} wait or were refused"
    ):
        await keys.join(key, MAX_UNDONE, "one-more")
    assert isinstance(await keys.join(other, 2000, "friend"), JoinRow), "others are not touched by it"
    assert await keys.approvals.remove_all() == MAX_UNDONE + 1
    assert await keys.uses(row) == 0
    assert isinstance(await keys.join(key, MAX_UNDONE, "one-more"), JoinRow)


async def test_time_cleans_the_list(keys: Keys) -> None:
    key, row = await keys.make(approve=True, max_uses=3)
    await keys.waiting(key, 1, "one")
    await keys.approvals.expire()
    assert await keys.uses(row) == 1
    await keys.age(joins=WAIT)
    await keys.approvals.expire()
    assert await keys.uses(row) == 0
    assert (await keys.kinds())[-1] == "node.join_expired"
    await keys.age(keys=KEYS_KEPT + HOUR)
    await keys.approvals.expire()
    assert (await keys.keys.page(cursor=None, limit=10)).rows == []


async def test_a_machine_that_brings_another_key_gives_the_first_ones_use_back(keys: Keys) -> None:
    first, first_row = await keys.make(approve=True)
    second, second_row = await keys.make()
    await keys.waiting(first)
    assert (await keys.enrolled(second)).node_id == "gpu-1"
    assert (await keys.uses(first_row), await keys.uses(second_row)) == (0, 1)


async def test_a_machine_that_waits_is_told_of_once_whatever_key_it_brings(keys: Keys) -> None:
    made = [await keys.make(approve=True) for _ in range(2)]
    first = await keys.waiting(made[0][0])
    for key, _ in (*made, *made):
        assert (await keys.waiting(key)).key_id == first.key_id
    assert [await keys.uses(row) for _, row in made] == [1, 0]
    assert (await keys.kinds()).count("node.join_waiting") == 1


async def test_numbers_are_the_smallest_that_are_free(keys: Keys) -> None:
    key, _ = await keys.make(max_uses=9, name_pattern="{host}-{n}")
    waits, _ = await keys.make(max_uses=9, name_pattern="{host}-{n}", approve=True)
    assert [(await keys.enrolled(key, number)).node_id for number in (1, 2)] == ["gpu-1-1", "gpu-1-2"]
    assert (await keys.waiting(waits, 3)).node_id == "gpu-1-3"
    assert (await keys.enrolled(key, 4)).node_id == "gpu-1-4"
    assert (await keys.enrolled(key, 5, "other")).node_id == "other-1"


async def test_a_node_that_is_there_gets_no_other_id(keys: Keys) -> None:
    key, row = await keys.make(name_pattern="edge-{n}")
    with pytest.raises(UnauthenticatedError, match="makes this machine node edge-1, and its agent is node gpu-7"):
        await keys.join(key, node_id="gpu-7")
    assert await keys.uses(row) == 0
    assert (await keys.enrolled(key, node_id="edge-1")).node_id == "edge-1"


@pytest.mark.parametrize("host", ["", "localhost", "---", "..", "localhost.localdomain"])
async def test_a_host_without_a_name_is_told_so(keys: Keys, host: str) -> None:
    key, row = await keys.make()
    with pytest.raises(InvalidError, match="gives no node id"):
        await keys.join(key, host=host)
    assert await keys.uses(row) == 0


async def test_the_past_of_a_key_is_of_its_own_database_row(keys: Keys) -> None:
    _, row = await keys.make()
    assert row.expires_at - utc_now() < HOUR
    assert (row.uses, row.last_used_at, row.state) == (0, None, KeyState.GOOD)
    with pytest.raises(NotFoundError, match="no join key"):
        await keys.keys.revoke("nothing")
