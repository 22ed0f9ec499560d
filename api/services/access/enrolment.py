"""Enrolment: a machine becomes a node. A one-time token buys a node key, and the key is the node's identity."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.node_directory import SqlNodeDirectory
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import UnauthenticatedError
from gamekeeper.keys import NODE_KEY_PREFIX, hash_key, new_key, secret_of

KNOWN_SECONDS = 15.0
KEY_UNKNOWN = "the node key is not known here: the node was removed, revoked or enrolled anew"
ENROL_AGAIN = "make a token with `gamekeeper node enrol NODE`, and start the agent with --token"


@dataclass(frozen=True)
class Enrolled:
    """``policy`` is the template of the join key that the machine came with."""

    node_id: str
    node_key: str
    generation: int
    policy: dict[str, Any] | None = None


class EnrolmentService:
    """``directory`` is told of what is changed here."""

    def __init__(self, database: Database, directory: SqlNodeDirectory) -> None:
        self._database = database
        self._directory = directory
        self._known: dict[str, tuple[str, float]] = {}

    async def register(self, token: str, known_as: str = "") -> Enrolled:
        """Spends the token. Key and certificates from an earlier registration are void with it. A token of another node
        than ``known_as``, which the machine is already, is not spent.

        Raises UnauthenticatedError for a token that is unknown, used or expired, without saying which.
        """
        key = new_key(NODE_KEY_PREFIX)
        async with self._database.write() as session:
            nodes = NodeRepository(session)
            spent = await nodes.use_token(hash_key(secret_of(token)))
            if spent is None:
                raise UnauthenticatedError(
                    "the enrolment token is unknown, used or expired", hint="make one: gamekeeper node enrol NODE"
                )
            if known_as not in ("", spent.node_id):
                raise UnauthenticatedError(
                    f"the token is of node {spent.node_id}, and this agent is node {known_as}",
                    hint="the token is not spent; give each node an agent with a state folder of its own",
                )
            row = await nodes.get_locked(spent.node_id)
            row.key_hash = hash_key(key)
            row.generation += 1
            record(session, Event(kind=EventKind.NODE_REGISTERED, node=spent.node_id))
        self.forget(spent.node_id)
        return Enrolled(spent.node_id, key, row.generation)

    async def first_generation(self, node_id: str) -> int:
        """The generation of a node that was enrolled by a version without certificates, and now gets its first one.
        Idempotent."""
        async with self._database.write() as session:
            row = await NodeRepository(session).get(node_id)
            row.generation = row.generation or 1
        self.forget(node_id)
        return row.generation

    async def revoke(self, node_id: str) -> None:
        """Makes the node's key, certificates and unspent tokens void. Its agent is out within seconds, until it spends
        a token that is made after this.

        Idempotent. Raises NotFoundError.
        """
        async with self._database.write() as session:
            nodes = NodeRepository(session)
            row = await nodes.get_locked(node_id)
            await nodes.void_tokens(node_id)
            row.key_hash = None
            row.generation += 1
            record(session, Event(kind=EventKind.NODE_REVOKED, node=node_id))
        self.forget(node_id)

    async def authenticate(self, authorization: str) -> str:
        """The node behind a bearer key. A removed node, or a key that was replaced, is refused within seconds."""
        key = authorization.removeprefix("Bearer ").strip()
        key_hash = hash_key(key)
        node_id, good_until = self._known.get(key_hash, ("", 0.0))
        if time.monotonic() < good_until:
            return node_id
        async with self._database.read() as session:
            row = await NodeRepository(session).by_key_hash(key_hash) if key else None
        if row is None:
            self._known.pop(key_hash, None)
            raise UnauthenticatedError(KEY_UNKNOWN, hint=ENROL_AGAIN)
        self._known[key_hash] = (row.id, time.monotonic() + KNOWN_SECONDS)
        return row.id

    async def load(self) -> None:
        """All keys at once: after a restart the whole fleet calls."""
        async with self._database.read() as session:
            found = await NodeRepository(session).key_hashes()
        good_until = time.monotonic() + KNOWN_SECONDS
        self._known = {key_hash: (node_id, good_until) for key_hash, node_id in found.items()}

    def forget(self, node_id: str) -> None:
        """A node was removed, revoked or registered anew."""
        self._directory.forget()
        self._known = {key: item for key, item in self._known.items() if item[0] != node_id}
