"""API keys: the users who may call."""

from __future__ import annotations

from gamekeeper.db.engine import Database
from gamekeeper.db.models import ApiKeyRow
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.errors import UnauthenticatedError
from gamekeeper.keys import hash_key

ADMIN = "admin"
_HINT = "send the header Authorization: Bearer KEY; `gamekeeper status --json` names the key's file"


class KeyService:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, str] = {}

    async def ensure_admin(self, key: str) -> None:
        """Makes ``key`` the admin key; an older one from an earlier start stays good."""
        async with self._database.write() as session:
            keys = KeyRepository(session)
            if await keys.find(hash_key(key)) is None:
                keys.add(ApiKeyRow(key_hash=hash_key(key), name=ADMIN))

    async def authenticate(self, authorization: str) -> str:
        """The name behind a header's key. Raises UnauthenticatedError for none and for a wrong one.

        Only the hash is compared, by a look-up, so timing tells nothing of the key.
        """
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise UnauthenticatedError("an API key is needed", hint=_HINT)
        key_hash = hash_key(key.strip())
        if key_hash in self._known:
            return self._known[key_hash]
        async with self._database.read() as session:
            row = await KeyRepository(session).find(key_hash)
        if row is None:
            raise UnauthenticatedError("the API key is not known here", hint=_HINT)
        self._known[key_hash] = row.name
        return row.name
