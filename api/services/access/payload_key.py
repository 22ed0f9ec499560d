"""The keys that encrypt what goes through Temporal, as an operator sees and changes them.

A key may go when no history is left that it wrote into. Temporal knows: a history is listed from its begin until the
retention after its end, and one that began after the key had stopped writing holds nothing of it. Schedules are no
histories; they are written anew before a key goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.service import RPCError

from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import PayloadTroubleRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.payload_trouble_log import SqlPayloadTroubleLog
from gamekeeper.db.repositories.payload_trouble import PayloadTroubleRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, GamekeeperError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.payload_keys.ring import PayloadKey, PayloadKeyState, PayloadRing
from gamekeeper.payload_keys.ring_file import new_key
from gamekeeper.temporal import workflow_names
from gamekeeper.temporal.ids import INSTANCE_PREFIX
from gamekeeper.temporal.sealed_payloads import PayloadSeals

log = get_logger(__name__)

OPEN_SHOWN = 20
# Temporal tries a workflow's task again after ten minutes at the latest.
STANDS = timedelta(minutes=15)
_OURS = ", ".join(f"'{name}'" for name in workflow_names.ALL)


@dataclass(frozen=True)
class KeyUse:
    """A key, and what is left of it. ``histories`` and ``open`` are of those that it may have written into; None and
    empty while it writes."""

    key: PayloadKey
    state: PayloadKeyState
    wrote_until: datetime | None
    histories: int | None
    open: Sequence[str]


class PayloadKeyService:
    """``write_schedules`` writes all schedules anew, and ``begin_anew`` has an instance's workflow go over to a new
    history once it has nothing to do. Calls raise UnavailableError while Temporal or the database is away."""

    def __init__(
        self,
        database: Database,
        client: Client,
        seals: PayloadSeals,
        write_schedules: Callable[[], Awaitable[None]],
        begin_anew: Callable[[str], Awaitable[None]],
    ) -> None:
        self._database = database
        self._log = SqlPayloadTroubleLog(database)
        self._client = client
        self.seals = seals
        self._write_schedules = write_schedules
        self._begin_anew = begin_anew

    async def list_all(self) -> list[KeyUse]:
        """The newest first."""
        self.seals.keys.look()
        ring = self.seals.keys.ring
        return [await self._use(ring, key) for key in reversed(ring.keys)]

    async def get(self, key_id: str) -> KeyUse:
        ring = self.seals.keys.ring
        return await self._use(ring, ring.get(key_id))

    async def rotate(self, delay: timedelta) -> KeyUse:
        """A new key, which writes after ``delay``: until then every process has read it. Raises ConflictError while an
        earlier new one waits for its time."""
        now = datetime.now(UTC)
        key = new_key(now + delay, now)
        await self._change(lambda ring: ring.with_key(key))
        await self._tell(EventKind.PAYLOAD_KEY_MADE, key.id, {"writes_from": key.writes_from.isoformat()})
        return await self.get(key.id)

    async def drop(self, key_id: str) -> None:
        """Raises NotFoundError, and ConflictError for a key that writes, or that a history may need."""
        now = datetime.now(UTC)
        ring = self.seals.keys.ring
        ring.without(key_id, now)  # before anything is asked of Temporal
        await self._write_schedules()
        use = await self._use(ring, ring.get(key_id))
        await self._let_go(use)
        if use.histories:
            raise ConflictError(_still_needed(use), hint="gamekeeper payload-key ls shows how many are left")
        await self._change(lambda current: current.without(key_id, now))
        await self._tell(EventKind.PAYLOAD_KEY_DROPPED, key_id, {})

    async def give_up(self, key_id: str) -> KeyUse:
        """Loses for good what the key wrote: workflows that need it fail in words. A key that is lost already is noted.
        Idempotent."""
        now = datetime.now(UTC)
        await self._change(lambda ring: ring.given_up(key_id, current_actor(), now, new_key(now, now)))
        async with self._database.write() as session:
            await PayloadTroubleRepository(session).delete_of_key(key_id)
            record(session, Event(kind=EventKind.PAYLOAD_KEY_GIVEN_UP, message=key_id))
        return await self.get(key_id)

    async def troubles(self) -> list[PayloadTroubleRow]:
        """Payloads that processes could not read lately, and still could not."""
        async with self._database.read() as session:
            found = await PayloadTroubleRepository(session).since(utc_now() - STANDS)
        ring = self.seals.keys.ring
        return [row for row in found if not row.is_missing or ring.find(row.key_id) is None]

    def shown(self, payload: Payload) -> Payload:
        """The payload in clear for a person who looks at a history; as it is where it can't be decrypted."""
        try:
            return self.seals.opened(payload, None, noted=False)
        except GamekeeperError:
            return payload

    async def look(self) -> None:
        """Raises UnavailableError with what can't be read, for the parts of the api."""
        if self.seals.keys.trouble:
            raise UnavailableError(self.seals.keys.trouble)
        found = await self.troubles()
        if found:
            subjects = sorted({row.subject for row in found if row.subject})
            what = f"{len(subjects)} workflows can't go on" if subjects else "a process can't read its work"
            raise UnavailableError(f"{what}: {found[0].message}", hint="gamekeeper payload-key ls")

    async def keep(self) -> None:
        """Writes down the own troubles, and forgets old ones."""
        await self.seals.tell(self._log, "api")
        async with self._database.read() as session:
            has_old = await PayloadTroubleRepository(session).has_before(utc_now() - STANDS)
        if has_old:
            async with self._database.write() as session:
                await PayloadTroubleRepository(session).delete_before(utc_now() - STANDS)

    async def _change(self, change: Callable[[PayloadRing], PayloadRing]) -> None:
        await asyncio.to_thread(self.seals.keys.file.change, change)
        self.seals.keys.look()

    async def _tell(self, kind: EventKind, key_id: str, data: dict[str, str]) -> None:
        async with self._database.write() as session:
            record(session, Event(kind=kind, message=key_id, data=data))

    async def _use(self, ring: PayloadRing, key: PayloadKey) -> KeyUse:
        now = datetime.now(UTC)
        state, until = ring.state(key, now), ring.wrote_until(key, now)
        if until is None:
            return KeyUse(key, state, None, None, [])
        began = f"WorkflowType IN ({_OURS}) AND StartTime <= '{until:%Y-%m-%dT%H:%M:%S.%fZ}'"
        try:
            counted = await self._client.count_workflows(began)
            running = self._client.list_workflows(f"{began} AND ExecutionStatus = 'Running'", limit=OPEN_SHOWN)
            return KeyUse(key, state, until, counted.count, [found.id async for found in running])
        except RPCError as error:
            raise UnavailableError(f"Temporal does not list its workflows: {error.message}") from error

    async def _let_go(self, use: KeyUse) -> None:
        """Workflows of instances go on for years. Each is asked to begin a new history."""
        for workflow_id in use.open:
            if workflow_id.startswith(INSTANCE_PREFIX):
                await self._begin_anew(workflow_id.removeprefix(INSTANCE_PREFIX))


def _still_needed(use: KeyUse) -> str:
    assert use.wrote_until is not None
    going_on = f"; of those that go on: {', '.join(use.open[:5])}" if use.open else ""
    return (
        f"{use.histories} histories in Temporal began before payload key {use.key.id} stopped writing "
        f"({use.wrote_until:%Y-%m-%d %H:%M} UTC), and may need it until they have ended and Temporal has forgotten them"
        f"{going_on}"
    )
