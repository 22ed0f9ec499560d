"""API keys in several api processes on one database, by clocks of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.caller import CallerService
from api.services.access.caller_use import SELDOM, CallerUses
from api.services.access.changing import Changes
from api.services.access.key_ring import KeyRing
from api.services.access.known_callers import KEPT_SECONDS, KNOWN_SECONDS, KnownCallers
from api.services.access.rates import WRONG_BURST, Rates
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.domain.access import api_key
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.role import Role
from gamekeeper.errors import ConflictError, TooOftenError, UnauthenticatedError
from gamekeeper.keys import hash_key
from tests.hang import HANG_SECONDS

FIRST = "gk_first-key-of-at-least-32-characters"


class Process:
    """The keys as one api process knows them. ``pass_time`` moves its clocks."""

    def __init__(self, database: Database) -> None:
        self.seconds = 0.0
        self.database = database
        self.begun = datetime.now(UTC)
        self.known = KnownCallers(database, lambda: self.seconds, self.now)
        self.uses = CallerUses(database, self.now)
        self.keys = CallerService(self.known, self.uses, Rates(1000))
        self.ring = KeyRing(database, Changes(database, self.known.forget))

    def now(self) -> datetime:
        return self.begun + timedelta(seconds=self.seconds)

    async def come(self, secret: str, address: str = "192.0.2.1") -> Caller:
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
    secret, row = await here.ring.make(first, "ci", Role.ADMIN, None)
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
    secret, row = await here.ring.make(await here.come(FIRST), "guest", Role.ADMIN, timedelta(hours=1))
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
    secret, row = await here.ring.make(first, "stolen", Role.ADMIN, None)
    stolen = await there.come(secret)
    await here.ring.revoke(first, row.id)
    assert (await there.come(secret)) == stolen
    for change in (
        there.ring.make(stolen, "successor", Role.ADMIN, None),
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
    secret, row = await here.ring.make(first, "other", Role.ADMIN, None)
    other = await there.come(secret)
    outcomes = await asyncio.gather(
        here.ring.revoke(first, row.id), there.ring.revoke(other, first.id), return_exceptions=True
    )
    assert [isinstance(outcome, UnauthenticatedError) for outcome in outcomes].count(True) == 1


async def test_a_name_is_given_once_by_all_processes(here: Process, there: Process) -> None:
    first = await here.come(FIRST)
    made = [process.ring.make(first, "ci", Role.ADMIN, None) for process in (here, there)]
    outcomes = await asyncio.gather(*made, return_exceptions=True)
    assert [isinstance(outcome, ConflictError) for outcome in outcomes].count(True) == 1


async def test_good_keys_have_a_limit(here: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.services.access.key_ring.MAX_GOOD_KEYS", 2)
    first = await here.come(FIRST)
    _, row = await here.ring.make(first, "second", Role.ADMIN, None)
    with pytest.raises(ConflictError, match="there are 2 good API keys already"):
        await here.ring.make(first, "third", Role.ADMIN, None)
    await here.ring.revoke(first, row.id)
    await here.ring.make(first, "third", Role.ADMIN, None)
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
    _, made = await here.ring.make(by, "ci", Role.ADMIN, None)
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


class SilentDatabase(Database):
    """Answers nothing while it is told to be silent."""

    is_silent = False
    reads = 0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        self.reads += 1
        if self.is_silent:
            await asyncio.Event().wait()
        async with super().read() as session:
            yield session


@pytest.fixture
async def silent(database_url: str, here: Process) -> AsyncIterator[SilentDatabase]:
    made = SilentDatabase(database_url)
    yield made
    await made.close()


async def test_a_database_that_does_not_answer_holds_up_no_end(
    here: Process, silent: SilentDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a key is known before; what has none goes on."""
    monkeypatch.setattr("api.services.access.caller.LOOK_SECONDS", 0.01)
    secret, _ = await here.ring.make(await here.come(FIRST), "guest", Role.ADMIN, timedelta(minutes=10))
    process = Process(silent)
    with process.keys.held(await process.come(secret)) as call, process.keys.held(await process.come(FIRST)) as other:
        silent.is_silent, process.seconds = True, 300.0
        async with asyncio.timeout(HANG_SECONDS):
            await process.keys.watch()
            assert not call.over.is_set()
            reads, process.seconds = silent.reads, 601.0
            await process.keys.watch()
        assert (call.over.is_set(), other.over.is_set()) == (True, False)
        assert silent.reads == reads, "questions that are not answered do not pile up"


async def test_a_right_key_that_nobody_knows_yet_passes_although_its_address_guesses(
    here: Process, silent: SilentDatabase
) -> None:
    """After a restart, say: strangers behind the same router or proxy lock nobody out. Their guesses cost little."""
    process = Process(silent)
    for number in range(WRONG_BURST):
        with pytest.raises(UnauthenticatedError):
            await process.come(f"wrong-{number}")
    reads = silent.reads
    outcomes = await asyncio.gather(
        *(process.come(f"wrong-{number}") for number in range(50)), process.come(FIRST), return_exceptions=True
    )
    assert [isinstance(outcome, TooOftenError) for outcome in outcomes] == [True] * 50 + [False]
    assert silent.reads - reads == 2, "their hashes and their rows, once for all of them"
    secret, _ = await here.ring.make(await here.come(FIRST), "new", Role.ADMIN, None)
    process.seconds += KNOWN_SECONDS
    assert (await process.come(secret)).name == "new"


async def test_keys_that_nobody_uses_any_more_are_not_kept_in_memory(here: Process) -> None:
    first = await here.come(FIRST)
    made = [await here.ring.make(first, f"job-{number}", Role.ADMIN, None) for number in range(5)]
    for secret, _ in made:
        await here.come(secret)
    with here.keys.held(first):
        here.seconds += KEPT_SECONDS
        await here.keys.watch()
        assert list(here.known._known) == [first.secret_hash]


async def test_a_key_that_soon_runs_out_does_not_let_the_last_one_go(here: Process) -> None:
    first = await here.come(FIRST)
    await here.ring.make(first, "guest", Role.ADMIN, api_key.LAST_GOOD_FOR - timedelta(seconds=1))
    with pytest.raises(ConflictError, match="nobody could make others"):
        await here.ring.revoke(first, first.id)
    await here.ring.make(first, "friend", Role.ADMIN, api_key.LAST_GOOD_FOR + timedelta(minutes=1))
    await here.ring.revoke(first, first.id)


async def test_names_that_look_alike_are_one(here: Process) -> None:
    with pytest.raises(ConflictError, match="already"):
        await here.ring.make(await here.come(FIRST), "Admin", Role.ADMIN, None)


async def test_the_secrets_of_a_key_have_a_limit(here: Process) -> None:
    first = await here.come(FIRST)
    for _ in range(api_key.MAX_GOOD_SECRETS - 1):
        await here.ring.rotate(first, first.id, api_key.MAX_OVERLAP)
    with pytest.raises(ConflictError, match="secrets of the API key"):
        await here.ring.rotate(first, first.id, api_key.MAX_OVERLAP)
    secret, _, _ = await here.ring.rotate(first, first.id, timedelta())
    await here.ring.rotate(await here.come(secret), first.id, api_key.MAX_OVERLAP)


async def test_what_was_forgotten_is_not_made_good_by_a_start(here: Process, database: Database) -> None:
    """Neither a key nor a secret that was rotated out."""
    first = await here.come(FIRST)
    gone, row = await here.ring.make(first, "gone", Role.ADMIN, None)
    spent, kept = await here.ring.make(first, "kept", Role.ADMIN, None)
    await here.ring.revoke(first, row.id)
    await here.ring.rotate(first, kept.id, timedelta())
    long_ago = here.begun - api_key.KEPT_AFTER_END - SELDOM
    async with database.write() as session:
        (await KeyRepository(session).get(row.id)).revoked_at = long_ago
        await KeyRepository(session).end_secrets(kept.id, long_ago)
    await here.ring.prune()
    async with database.read() as session:
        assert await KeyRepository(session).by_hash(hash_key(gone)) is None
        assert await KeyRepository(session).by_hash(hash_key(spent)) is None
    assert not await here.ring.ensure_given(gone)
    assert not await here.ring.ensure_given(spent)


async def test_a_start_on_an_empty_database_takes_any_key(here: Process, database: Database) -> None:
    """As after the loss of a database, when only the file is left."""
    rotated, _, _ = await here.ring.rotate(await here.come(FIRST), (await here.come(FIRST)).id, timedelta())
    async with database.write() as session:
        await KeyRepository(session).delete([(await here.come(rotated)).id])
    assert await here.ring.ensure_given(rotated)
    assert (await here.come(rotated)).name == "admin"


async def test_a_last_use_of_a_clock_that_was_ahead_is_overwritten(here: Process) -> None:
    first = await here.come(FIRST)
    ahead = Process(here.database)
    ahead.seconds = timedelta(days=3650).total_seconds()
    await ahead.come(FIRST)
    await ahead.uses.save()
    await here.uses.save()
    assert (await here.ring.get(first.id)).last_used_at == here.begun


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL takes no such value
async def test_a_row_that_can_not_be_read_holds_up_no_other(here: Process, database: Database) -> None:
    first = await here.come(FIRST)
    torn, row = await here.ring.make(first, "torn", Role.ADMIN, None)
    secret, other = await here.ring.make(first, "other", Role.ADMIN, None)
    with here.keys.held(await here.come(torn)) as odd, here.keys.held(await here.come(secret)) as call:
        async with database.write() as session:
            torn_end = text("UPDATE api_keys SET expires_at = '9999-torn' WHERE id = :id")
            await (await session.connection()).execute(torn_end, {"id": row.id})
        await here.ring.revoke(first, other.id)
        await here.keys.watch()
        assert (odd.over.is_set(), call.over.is_set()) == (True, True)
    with pytest.raises(UnauthenticatedError):
        await here.come(torn)
    assert not await here.known.is_among_all("unknown")
    assert (await here.come(FIRST)).name == "admin"
