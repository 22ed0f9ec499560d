"""How a machine becomes a node: a one-time token buys a node key, and the key is the node's identity."""

from __future__ import annotations

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event import Event
from gamekeeper.errors import UnauthenticatedError
from gamekeeper.keys import NODE_KEY_PREFIX, hash_key, new_key


class EnrolmentService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, token: str) -> tuple[str, str]:
        """Spends the token: (node id, node key). A key from an earlier registration ends with it.

        Raises UnauthenticatedError for a token that is unknown, used or expired, without saying which.
        """
        key = new_key(NODE_KEY_PREFIX)
        async with self._database.write() as session:
            nodes = NodeRepository(session)
            spent = await nodes.use_token(hash_key(token))
            if spent is None:
                raise UnauthenticatedError(
                    "the enrolment token is unknown, used or expired", hint="make one: gamekeeper node enrol NODE"
                )
            (await nodes.get(spent.node_id)).key_hash = hash_key(key)
            record(session, Event(kind="node.registered", node=spent.node_id))
            return spent.node_id, key

    async def authenticate(self, authorization: str) -> str:
        """The node behind a bearer key. Read from the database each time, so a removed node is refused at once."""
        key = authorization.removeprefix("Bearer ").strip()
        async with self._database.read() as session:
            row = await NodeRepository(session).by_key_hash(hash_key(key)) if key else None
        if row is None:
            raise UnauthenticatedError("the node key is not known here", hint="enrol the node again")
        return row.id
