"""API keys in several api processes on one database, by clocks of the test's own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from api.services.access.key import KeyService
from api.services.access.key_ring import KeyRing
from api.services.access.key_use import SELDOM, KeyUses
from api.services.access.known_keys import KNOWN_SECONDS, KnownKey, KnownKeys
from api.services.access.rates import WRONG_BURST, Rates
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.domain.access import api_key
from gamekeeper.errors import ConflictError, TooOftenError, UnauthenticatedError

FIRST = "gk_first-key-of-at-least-32-characters"


class Process:
    """The keys as one api process knows them. ``pass_time`` moves its clocks."""

    def __init__(self, database: Database) -> None:
        self.seconds = 0.0
        self.begun = datetime.now(UTC)
        self.known = KnownKeys(database, lambda: self.seconds, self.now)
        self.uses = KeyUses(database, self.now)
        self.keys = KeyService(self.known, self.uses, Rates(1000))
        self.ring = KeyRing(database, self.known.forget)

    def now(self) -> datetime:
        return self.begun + timedelta(seconds=self.seconds)

    async def come(self, secret: str, address: str = "192.0.2.1") -> KnownKey:
        return await self.keys.authenticate(f"Bearer {secret}", address)


@pytest.fixture
async def here(database: Database) -> Process:
    made = Process(database)
    await made.ring.ensure_given(FIRST)
    return made


@pytest.fixture
def there(database: Database) -> Process:
    return Process(database)


async def test_a_revocation_is_felt_by_all_processes(here: Process, there: Process) -> None:
    first = await here.come(FIRST)
    secret, row = await here.ring.make(first, "ci", None)
    for process in (here, there):
        assert (await process.come(secret)).name == "ci"
    with there.keys.held(await there.come(secret)) as call, there.keys.held(await there.come(FIRST)) as other:
        await here.ring.revoke(first, row.id)
        with pytest.raises(UnauthenticatedError):
            await here.come(secret)
        there.seconds += KNOWN_SECONDS
        await there.keys.watch()
        assert (call.over.is_set(), other.over.is_set()) == (True, False)
    with pytest.raises(UnauthenticatedError):
        await there.come(secret)
    assert (await there.come(FIRST)).name == "admin"


async def test_the_end_of_a_key_needs_no_look_at_the_database(here: Process) -> None:
    secret, row = await here.ring.make(await here.come(FIRST), "guest", timedelta(hours=1))
    assert row.expires_at is not None
    here.seconds = (row.expires_at - here.begun).total_seconds() - KNOWN_SECONDS / 2
    with here.keys.held(await here.come(secret)) as call:
        here.seconds += KNOWN_SECONDS / 2
        with pytest.raises(UnauthenticatedError, match="ran out"):
            await here.come(secret)
        await here.keys.watch()
        assert call.over.is_set()


async def test_an_earlier_secret_lives_for_the_overlap(here: Process) -> None:
    first = await here.come(FIRST)
    second, _, until = await here.ring.rotate(first, first.id, timedelta(seconds=60))
    assert (await here.come(FIRST)).id == (await here.come(second)).id == first.id
    third, _, _ = await here.ring.rotate(first, first.id, timedelta(hours=5))
    here.seconds += (until - here.now()).total_seconds()
    with pytest.raises(UnauthenticatedError):
        await here.come(FIRST)
    for secret in (second, third):
        assert (await here.come(secret)).name == "admin"
    await here.ring.rotate(await here.come(third), first.id, timedelta())
    for secret in (second, third):
        with pytest.raises(UnauthenticatedError):
            await here.come(secret)


async def test_a_revoked_key_gets_itself_no_successor(here: Process, there: Process) -> None:
    """Another process knows it for some seconds more."""
    first = await here.come(FIRST)
    secret, row = await here.ring.make(first, "stolen", None)
    stolen = await there.come(secret)
    await here.ring.revoke(first, row.id)
    assert (await there.come(secret)) == stolen
    for change in (
        there.ring.make(stolen, "successor", None),
        there.ring.rotate(stolen, first.id, timedelta()),
        there.ring.revoke(stolen, first.id),
    ):
        with pytest.raises(UnauthenticatedError):
            await change
    assert [item.name for item in (await here.ring.page(cursor=None, limit=10)).rows if item.state == "good"] == [
        "admin"
    ]


async def test_two_that_revoke_each_other_leave_one(here: Process, there: Process) -> None:
    first = await here.come(FIRST)
    secret, row = await here.ring.make(first, "other", None)
    other = await there.come(secret)
    outcomes = await asyncio.gather(
        here.ring.revoke(first, row.id), there.ring.revoke(other, first.id), return_exceptions=True
    )
    assert [isinstance(outcome, UnauthenticatedError) for outcome in outcomes].count(True) == 1


async def test_a_name_is_given_once_by_all_processes(here: Process, there: Process) -> None:
    first = await here.come(FIRST)
    made = [process.ring.make(first, "ci", None) for process in (here, there)]
    outcomes = await asyncio.gather(*made, return_exceptions=True)
    assert [isinstance(outcome, ConflictError) for outcome in outcomes].count(True) == 1


async def test_good_keys_have_a_limit(here: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.services.access.key_ring.MAX_GOOD_KEYS", 2)
    first = await here.come(FIRST)
    _, row = await here.ring.make(first, "second", None)
    with pytest.raises(ConflictError, match="there are 2 good API keys already"):
        await here.ring.make(first, "third", None)
    await here.ring.revoke(first, row.id)
    await here.ring.make(first, "third", None)
    assert api_key.MAX_GOOD_KEYS == 1000


async def test_a_last_use_is_written_once_a_minute(here: Process, there: Process) -> None:
    first = await here.come(FIRST)

    async def noted() -> tuple[datetime | None, str]:
        row = await here.ring.get(first.id)
        return row.last_used_at, row.last_used_from

    assert await noted() == (None, "")
    await here.uses.save()
    assert await noted() == (here.begun, "192.0.2.1")
    here.seconds = there.seconds = 59
    for process in (here, there):
        await process.come(FIRST, "192.0.2.2")
        await process.uses.save()
        assert await noted() == (here.begun, "192.0.2.1"), "another process may have written it"
    here.seconds = SELDOM.total_seconds()
    await here.uses.save()
    assert await noted() == (here.begun + timedelta(seconds=59), "192.0.2.2")


async def test_a_known_key_passes_although_its_address_guesses(here: Process) -> None:
    await here.come(FIRST)
    here.seconds += KNOWN_SECONDS
    for number in range(WRONG_BURST):
        with pytest.raises(UnauthenticatedError):
            await here.come(f"wrong-{number}")
    with pytest.raises(TooOftenError):
        await here.come("wrong")
    assert (await here.come(FIRST)).name == "admin"


async def test_a_given_key_that_was_revoked_stays_so(here: Process, database: Database) -> None:
    """For ever: rows of given keys are not forgotten."""
    first = await here.come(FIRST)
    second = FIRST + "-of-the-next-start"
    assert await here.ring.ensure_given(second)
    assert await here.ring.ensure_given(second), "the same start again"
    by = await here.come(second)
    assert by.name == "admin-2"
    _, made = await here.ring.make(by, "ci", None)
    for key_id in (first.id, made.id):
        await here.ring.revoke(by, key_id)
    assert not await here.ring.ensure_given(FIRST)
    async with database.write() as session:
        for key_id in (first.id, made.id):
            (await KeyRepository(session).get(key_id)).revoked_at = here.begun - api_key.KEPT_AFTER_END - SELDOM
    await here.ring.prune()
    rows = (await here.ring.page(cursor=None, limit=10)).rows
    assert {(row.name, row.state.value) for row in rows} == {("admin", "revoked"), ("admin-2", "good")}
    assert not await here.ring.ensure_given(FIRST)
