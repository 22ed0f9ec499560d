"""Appends to the event log, in the transaction of the change that an event tells of.

Followers resume after the last number they saw, so a number must never become visible after a higher one. SQLite has
one writer at a time. On PostgreSQL the events of a transaction are inserted last, under a lock that ends with it; as
it is always the last lock taken, it can't deadlock.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import insert, text
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.actor import acting
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.db.models.event import EventRow
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.hlc import HybridClock

_LOCK_KEY = 4_207_002
_PENDING = "pending_events"


def record(session: AsyncSession, event: Event) -> None:
    """Keeps the event when, and only when, the transaction commits."""
    session.info.setdefault(_PENDING, []).append(event)


async def append_pending(session: AsyncSession, clock: HybridClock, told: Counter[str], *, takes_lock: bool) -> bool:
    """Inserts what was recorded, and counts it by actor; True when there was anything."""
    pending: list[Event] = session.info.pop(_PENDING, [])
    if not pending:
        return False
    await session.flush()
    if takes_lock:
        await (await session.connection()).execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
    rows = [_row(event, clock) for event in pending]
    await (await session.connection()).execute(insert(EventRow.__table__), rows)  # type: ignore[attr-defined]
    told.update([row["actor"] for row in rows])
    return True


def _row(event: Event, clock: HybridClock) -> dict[str, Any]:
    if event.hlc is not None:
        clock.observe(event.hlc)
    fields = event.model_dump()
    fields["kind"] = event.kind.value
    fields["message"] = storable(event.message[:500])
    fields["hlc"] = event.hlc or clock.tick()
    actor = acting()
    if event.actor in ("", actor.name):
        fields |= {"actor": actor.name, "actor_id": actor.id, "address": actor.address}
        fields["data"] = fields["data"] | ({"by_key": actor.key} if actor.key else {})
    fields["address"] = storable(fields["address"][:64])
    return fields | {"at": utc_now()}
