"""A machine joins by a join key: it becomes a new node at once, or waits until an operator approves it.

The machine is known by the key that it made for itself: whoever asks again with it, because an answer was lost or an
operator had to decide first, gets the answer to the same join and spends nothing more. A join key gives no machine an
id that a node has: that is the operator's decision alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.enrolment import Enrolled
from gamekeeper.counted import counted
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import JoinKeyRow, JoinRow, NodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.join import JoinRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.join import (
    HOLDS_A_USE,
    NUMBER_MARK,
    JoinReason,
    JoinState,
    KeyState,
    node_id_of,
    short_fingerprint,
)
from gamekeeper.errors import ConflictError, InvalidError, UnauthenticatedError, UnavailableError
from gamekeeper.keys import NODE_KEY_PREFIX, hash_key, new_key, secret_of

WAIT = timedelta(hours=24)  # for an operator, and then for the machine
MAX_UNDONE = 64  # machines that wait or were refused, of one key: a key that leaked fills no database
ATTEMPTS = 10  # when machines with different keys ask for one id in the same moment, one gets it each time
_MAKE_ONE = "make one: gamekeeper join-key make"


@dataclass(frozen=True)
class Machine:
    """A machine's words about itself, and the address that it came from. ``node_id`` is the id that it has already."""

    host: str = ""
    address: str = ""
    node_id: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class KeyJoinService:
    """``enrolled`` is told of a node whose older keys and certificates are void."""

    def __init__(self, database: Database, enrolled: Callable[[str], None]) -> None:
        self._database = database
        self._enrolled = enrolled

    async def register(self, token: str, fingerprint: str, machine: Machine) -> Enrolled | JoinRow:
        """The node that the machine is now, or its join that waits for an operator.

        Raises UnauthenticatedError that says why the key lets it in no more, InvalidError for a host name that gives
        no node id, UnavailableError.
        """
        key_hash = hash_key(secret_of(token))
        if (waiting := await self._find_waiting(key_hash, fingerprint)) is not None:
            return waiting
        for _ in range(ATTEMPTS):
            try:
                found = await self._join(key_hash, fingerprint, machine)
            except ConflictError:  # another machine got the id in this moment
                continue
            if isinstance(found, Enrolled):
                self._enrolled(found.node_id)
            return found
        raise UnavailableError("too many machines join at once", hint="try again")

    async def _find_waiting(self, key_hash: str, fingerprint: str) -> JoinRow | None:
        """Agents ask every few seconds, so that the usual answer costs no write."""
        async with self._database.read() as session:
            joins = JoinRepository(session)
            key, row = await joins.key_by_hash(key_hash), await joins.find(short_fingerprint(fingerprint))
        if key is None or row is None or key.revoked_at is not None:
            return None
        is_same = row.key_id == key.id and row.fingerprint == fingerprint
        return row if is_same and row.state == JoinState.WAITING else None

    async def _join(self, key_hash: str, fingerprint: str, machine: Machine) -> Enrolled | JoinRow:
        async with self._database.write() as session:
            joins = JoinRepository(session)
            key = await joins.locked_key_by_hash(key_hash)
            if key is None:
                raise UnauthenticatedError("the join key is not known here", hint=_MAKE_ONE)
            if key.revoked_at is not None:
                raise UnauthenticatedError(f"join key {key.id} was revoked", hint=_MAKE_ONE)
            row = await joins.find(short_fingerprint(fingerprint))
            if row is not None:
                found = await self._go_on(session, key, row, fingerprint)
                if found is not None:
                    return found
            return await self._begin(session, key, row, fingerprint, machine)

    async def _go_on(
        self, session: AsyncSession, key: JoinKeyRow, row: JoinRow, fingerprint: str
    ) -> Enrolled | JoinRow | None:
        """The answer to a machine that asked before; None when it is to begin anew: it brings another key now, or the
        node was removed or enrolled otherwise since."""
        if row.fingerprint != fingerprint:
            raise InvalidError("another machine has this short fingerprint", hint="remove the agent's file node.key")
        if row.state == JoinState.REFUSED:
            raise _refusal(row)
        if row.key_id != key.id:
            return None
        if row.state == JoinState.WAITING:
            return row
        node = await NodeRepository(session).find_locked(row.node_id)
        if node is None or node.generation != row.generation:
            return None
        if row.state == JoinState.APPROVED:  # the same answer again is no event: whoever has a key could ask for ever
            record(session, _event(EventKind.NODE_REGISTERED, key, row))
        return _enrol(key, row, node)

    async def _begin(
        self, session: AsyncSession, key: JoinKeyRow, before: JoinRow | None, fingerprint: str, machine: Machine
    ) -> Enrolled | JoinRow:
        """``before`` is the machine's earlier join, which gives way to this one."""
        joins = JoinRepository(session)
        if before is not None and before.state != JoinState.WAITING:
            await _forget(session, key, before)
            before = None
        _check_good(key)
        node_id = await _node_id(joins, key, machine)
        reason = await _reason_to_wait(session, key, node_id)
        if before is not None:
            if reason:
                return before  # else two keys that leaked would be two endless events
            await _forget(session, key, before)
        row = JoinRow(
            id=short_fingerprint(fingerprint),
            key_id=key.id,
            fingerprint=fingerprint,
            node_id=node_id,
            host=machine.host,
            address=machine.address,
            facts=machine.facts,
            reason=reason,
            expires_at=utc_now() + WAIT,
        )
        joins.add(row)
        key.uses += 1
        key.last_used_at = utc_now()
        if reason:
            record(session, _event(EventKind.NODE_JOIN_WAITING, key, row, reason=reason))
            return row
        node = make_node(session, key, node_id)
        record(session, _event(EventKind.NODE_REGISTERED, key, row))
        return _enrol(key, row, node)


def make_node(session: AsyncSession, key: JoinKeyRow, node_id: str) -> NodeRow:
    """A new node as the key wants it."""
    node = NodeRow(id=node_id, name=node_id, labels=dict(key.labels), capacity_override=dict(key.capacity_override))
    NodeRepository(session).add(node)
    record(session, Event(kind=EventKind.NODE_CREATED, node=node_id, data={"join_key": key.id}))
    return node


async def _forget(session: AsyncSession, key: JoinKeyRow, row: JoinRow) -> None:
    joins = JoinRepository(session)
    await joins.delete(row)
    if row.state in HOLDS_A_USE:
        await joins.give_back(row.key_id)
        await session.refresh(key)


async def _reason_to_wait(session: AsyncSession, key: JoinKeyRow, node_id: str) -> str:
    """Empty for a machine that is let in at once. Raises UnauthenticatedError where too many wait."""
    existing = await NodeRepository(session).find(node_id)
    if existing is None and not key.approve:
        return ""
    if await JoinRepository(session).count_undone(key.id) >= MAX_UNDONE:
        raise UnauthenticatedError(
            f"{MAX_UNDONE} machines with join key {key.id} wait or were refused",
            hint="an operator cleans the list: gamekeeper joins ls, gamekeeper joins rm --all",
        )
    return (JoinReason.KEY_ASKS if existing is None else JoinReason.NAME_TAKEN).value


def _enrol(key: JoinKeyRow, row: JoinRow, node: NodeRow) -> Enrolled:
    node_key = new_key(NODE_KEY_PREFIX)
    node.key_hash = hash_key(node_key)
    node.generation += 1
    row.state, row.generation = JoinState.JOINED.value, node.generation
    return Enrolled(node.id, node_key, node.generation, key.policy)


def _event(kind: EventKind, key: JoinKeyRow, row: JoinRow, reason: str = "") -> Event:
    return Event(
        kind=kind,
        node=row.node_id,
        reason=reason,
        message=f"{row.id}, host {row.host or 'unknown'} at {row.address or 'unknown'}",
        actor=f"join-key:{key.id}",
        data={"join_key": key.id, "join": row.id},
    )


def _check_good(key: JoinKeyRow) -> None:
    words = {
        KeyState.EXPIRED: f"join key {key.id} expired at {key.expires_at:%Y-%m-%d %H:%M} UTC",
        KeyState.USED_UP: f"join key {key.id} is used up: it was good for {counted(key.max_uses, 'machine')}",
    }
    if key.state in words:
        raise UnauthenticatedError(words[key.state], hint=_MAKE_ONE)


async def _node_id(joins: JoinRepository, key: JoinKeyRow, machine: Machine) -> str:
    pattern = key.name_pattern
    taken = await joins.taken_ids(pattern.partition("{")[0]) if NUMBER_MARK in pattern else ()
    found = node_id_of(pattern, machine.host, taken)
    if machine.node_id and machine.node_id != found:
        raise UnauthenticatedError(
            f"join key {key.id} makes this machine node {found}, and its agent is node {machine.node_id}",
            hint="start the agent with another state folder to join as a new node",
        )
    return found


def _refusal(row: JoinRow) -> UnauthenticatedError:
    why = f": {row.message}" if row.message else ""
    return UnauthenticatedError(
        f"an operator refused this machine, {row.id}{why}",
        hint=f"`gamekeeper joins rm {row.id}` on the control plane lets it ask again",
    )
