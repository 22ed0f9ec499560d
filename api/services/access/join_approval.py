"""The list of machines that brought a join key: operators approve, refuse and remove, and time cleans it.

A machine that is no node holds a use of its key: it is given back when the machine is refused, removed or forgotten.
"""

from __future__ import annotations

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.key_join import WAIT, make_node
from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import JoinKeyRow, JoinRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.join import JoinRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.join import HOLDS_A_USE, JoinState
from gamekeeper.errors import ConflictError

KEYS_KEPT = timedelta(days=30)  # after they expired


class JoinApprovalService:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.odd_rows = database.odd_rows

    async def page(self, *, state: str | None, cursor: str | None, limit: int) -> Page[JoinRow]:
        async with self._database.read() as session:
            return await JoinRepository(session).page(state=state, cursor=cursor, limit=limit)

    async def approve(self, join_id: str, *, node_id: str, replaces: bool) -> JoinRow:
        """Lets a waiting machine in, as ``node_id`` or as the id that its key gave it; the node is made at once.

        ``replaces`` gives it the identity of a node that exists, whose own agent is out as soon as the machine comes.
        Idempotent. Raises NotFoundError, ConflictError for a node that exists, and a join that does not wait.
        """
        async with self._database.write() as session:
            row, key = await JoinRepository(session).locked(join_id)
            wanted = node_id or row.node_id
            if row.state == JoinState.APPROVED and row.node_id == wanted:
                return row
            _check_waits(row)
            node = await NodeRepository(session).find(wanted)
            if node is not None and not replaces:
                raise ConflictError(
                    f'there is a node "{wanted}" already, which is {node.status}',
                    hint="approve it with --replace where this machine is that node, reinstalled: an agent that is the "
                    "node now is out then. Or give it another id: --node NODE",
                )
            message = "takes the place of the node's agent" if node else ""
            node = node or make_node(session, key, wanted)
            row.node_id, row.generation = wanted, node.generation
            row.expires_at = utc_now() + WAIT
            _decide(session, row, JoinState.APPROVED, message)
        return row

    async def refuse(self, join_id: str, message: str) -> JoinRow:
        """Tells the machine that it is not wanted, for a day. Idempotent. Raises NotFoundError and ConflictError."""
        async with self._database.write() as session:
            joins = JoinRepository(session)
            row, key = await joins.locked(join_id)
            if row.state == JoinState.REFUSED:
                return row
            if row.state == JoinState.JOINED:
                raise _is_node(row)
            await joins.give_back(key.id)
            row.expires_at = utc_now() + WAIT
            _decide(session, row, JoinState.REFUSED, message)
        return row

    async def remove(self, join_id: str) -> None:
        """Forgets a machine, which may ask again. Raises NotFoundError, ConflictError for one that is a node."""
        async with self._database.write() as session:
            joins = JoinRepository(session)
            row, key = await joins.locked(join_id)
            if row.state == JoinState.JOINED:
                raise _is_node(row)
            await _remove(session, joins, row, key)

    async def remove_all(self) -> int:
        """Forgets all machines that are no nodes yet, and says how many they were. Idempotent."""
        count = 0
        async with self._database.write() as session:
            joins = JoinRepository(session)
            for key_id in await joins.ids_of_keys_with_joins():
                key = await joins.locked_key(key_id)
                for row in await joins.of_key(key_id, *HOLDS_A_USE, JoinState.REFUSED):
                    await _remove(session, joins, row, key)
                    count += 1
        return count

    async def expire(self) -> None:
        """Forgets joins that are over, and keys that ended long ago. Idempotent."""
        now = utc_now()
        async with self._database.read() as session:
            key_ids = await JoinRepository(session).ids_of_keys_with_joins(now)
        for key_id in key_ids:
            async with self._database.write() as session:
                joins = JoinRepository(session)
                key = await joins.locked_key(key_id)
                for row in await joins.old_joins(key_id, now):
                    await _expire(session, joins, row, key)
        async with self._database.read() as session:
            old = await JoinRepository(session).keys_expired_before(now - KEYS_KEPT)
        if old:
            async with self._database.write() as session:
                await JoinRepository(session).delete_keys(old)


def _check_waits(row: JoinRow) -> None:
    if row.state == JoinState.JOINED:
        raise _is_node(row)
    if row.state != JoinState.WAITING:
        raise ConflictError(
            f'join "{row.id}" is {row.state}', hint=f"`gamekeeper joins rm {row.id}` lets the machine ask again"
        )


def _is_node(row: JoinRow) -> ConflictError:
    return ConflictError(
        f'the machine {row.id} is node "{row.node_id}" already', hint=f"gamekeeper node rm {row.node_id}"
    )


def _decide(session: AsyncSession, row: JoinRow, state: JoinState, message: str) -> None:
    row.state, row.decided_by, row.message = state.value, current_actor(), message
    kind = EventKind.NODE_JOIN_APPROVED if state is JoinState.APPROVED else EventKind.NODE_JOIN_REFUSED
    told = f"{row.id}: {message}" if message else row.id
    record(session, Event(kind=kind, node=row.node_id, message=told, data=_data(row)))


async def _remove(session: AsyncSession, joins: JoinRepository, row: JoinRow, key: JoinKeyRow) -> None:
    if row.state in HOLDS_A_USE:
        await joins.give_back(key.id)
    await joins.delete(row)
    record(session, Event(kind=EventKind.NODE_JOIN_REMOVED, node=row.node_id, message=row.id, data=_data(row)))


async def _expire(session: AsyncSession, joins: JoinRepository, row: JoinRow, key: JoinKeyRow) -> None:
    if row.state in HOLDS_A_USE:
        await joins.give_back(key.id)
        record(session, Event(kind=EventKind.NODE_JOIN_EXPIRED, node=row.node_id, message=row.id, data=_data(row)))
    await joins.delete(row)


def _data(row: JoinRow) -> dict[str, str]:
    return {"join_key": row.key_id, "join": row.id}
