"""Join keys: a user makes one for machines that nobody has named yet, lists them, and revokes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from gamekeeper.actor import current_actor
from gamekeeper.counted import counted
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import JoinKeyRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.join import JoinRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.join import JoinState, check_name_pattern
from gamekeeper.keys import JOIN_KEY_PREFIX, PIN_MARK, hash_key, new_key

KEY_LIFETIME = timedelta(hours=24)
MAX_KEY_LIFETIME = timedelta(days=90)
MAX_USES = 10_000


class JoinKeyService:
    """``pin`` is the CA's, which join keys carry."""

    def __init__(self, database: Database, pin: Callable[[], str]) -> None:
        self._database = database
        self._pin = pin
        self.odd_rows = database.odd_rows

    async def make(self, fields: dict[str, Any], lifetime: timedelta) -> tuple[str, JoinKeyRow]:
        """A key with the CA's pin behind it, which is shown this once. Raises InvalidError for a name pattern."""
        key = new_key(JOIN_KEY_PREFIX)
        row = JoinKeyRow(**fields, key_hash=hash_key(key), created_by=current_actor(), expires_at=utc_now() + lifetime)
        check_name_pattern(row.name_pattern)
        async with self._database.write() as session:
            JoinRepository(session).add(row)
            message = f"{row.id}, {counted(row.max_uses, 'use')}, until {row.expires_at:%Y-%m-%d %H:%M} UTC"
            record(session, Event(kind=EventKind.NODE_JOIN_KEY_MADE, message=message, data={"join_key": row.id}))
        return f"{key}{PIN_MARK}{self._pin()}", row

    async def get(self, key_id: str) -> JoinKeyRow:
        async with self._database.read() as session:
            return await JoinRepository(session).get_key(key_id)

    async def page(self, *, cursor: str | None, limit: int) -> Page[JoinKeyRow]:
        async with self._database.read() as session:
            return await JoinRepository(session).page_keys(cursor=cursor, limit=limit)

    async def revoke(self, key_id: str) -> None:
        """Ends the key, and the wait of all that came with it. Nodes that joined by it stay. Idempotent.

        Raises NotFoundError.
        """
        async with self._database.write() as session:
            joins = JoinRepository(session)
            row = await joins.locked_key(key_id)
            if row.revoked_at is not None:
                return
            row.revoked_at = utc_now()
            for join in await joins.of_key(key_id, JoinState.WAITING, JoinState.APPROVED):
                await joins.delete(join)
            record(session, Event(kind=EventKind.NODE_JOIN_KEY_REVOKED, message=key_id, data={"join_key": key_id}))
