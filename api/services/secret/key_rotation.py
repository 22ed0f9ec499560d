"""The rotation of the master keys: a new one, all data keys wrapped anew, and the earlier ones forgotten.

It is done in small transactions, each of which leaves every version openable: the earlier keys stay in the file until
no row needs them. What a kill leaves undone the next round does.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.secret.values import place, sealed
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import SecretRow, SecretVersionRow
from gamekeeper.db.repositories.authenticator import AuthenticatorRepository
from gamekeeper.db.repositories.secret import SecretRepository
from gamekeeper.domain.access.user import authenticator_context
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError
from gamekeeper.ports.master_keys import MasterKeys, WrappedKey
from gamekeeper.sealing.envelope import rewrap
from gamekeeper.supervised import Supervised

BATCH = 50
_FIRST = ("", 0)


@dataclass(frozen=True)
class RotationState:
    """``rewrapped`` counts versions; ``left`` are those that no key opens; ``forgotten`` are ids of earlier keys."""

    key_id: str
    rewrapped: int
    left: list[str]
    forgotten: list[str]


class KeyRotation:
    """``care`` counts rounds and versions that failed."""

    def __init__(self, database: Database, keys: MasterKeys) -> None:
        self._database = database
        self._keys = keys
        self.care = Supervised("secret_keys")

    async def rotate(self) -> RotationState:
        """A new key, and all versions under it. Raises ConflictError without a key file and for too many keys, and
        UnavailableError on a full disk: what is done by then stays done."""
        async with self._database.write() as session:
            secrets = SecretRepository(session)
            await secrets.lock()
            await self._keys.ensure(await _needed(session))
            key_id = await self._keys.rotate()
            record(session, Event(kind=EventKind.SECRET_KEY_ROTATED, message=key_id, data={"key": key_id}))
        return await self._rewrap(key_id)

    async def go_on(self) -> None:
        """A round: makes the first key, and finishes what a rotation left. Raises ConflictError that names a key file
        that is lost or wrong, and UnavailableError."""
        async with self._database.read() as session:
            needed = await _needed(session)
        await self._keys.ensure(needed)
        if needed:
            await self._rewrap(await self._keys.current())

    async def check(self) -> None:
        """Raises ConflictError for a master key that secrets need and that is not there."""
        async with self._database.read() as session:
            needed = await SecretRepository(session).key_ids()
        if needed:
            await self._keys.check(needed)

    async def _rewrap(self, key_id: str) -> RotationState:
        after, done, left = _FIRST, 0, list[str]()
        while True:
            async with self._database.write() as session:
                secrets = SecretRepository(session)
                await secrets.lock()
                found = await secrets.under_other_keys(key_id, after, BATCH)
                for row, version in found:
                    if await self._rewrap_one(secrets, row, version):
                        done += 1
                    else:
                        left.append(f"{row.name} version {version.number}")
            if not found:
                await self._rewrap_authenticators(key_id)
                return RotationState(key_id, done, left, await self._forget())
            after = found[-1][1].secret_name, found[-1][1].number

    async def _rewrap_one(self, secrets: SecretRepository, row: SecretRow, version: SecretVersionRow) -> bool:
        """False, told once, for a version that no key opens: it keeps no other from its new key."""
        try:
            wrapped = await rewrap(self._keys, sealed(version).key, place(row, version))
        except ConflictError as error:
            self.care.skipped(f"secret {row.name} version {version.number}", error)
            return False
        await secrets.rewrap(version, wrapped)
        return True

    async def _forget(self) -> list[str]:
        """Under the lock, so that nobody seals by a key that goes; and not before the rows that need it no longer are
        on the disk."""
        async with self._database.write() as session:
            secrets = SecretRepository(session)
            await secrets.lock()
            needed = await _needed(session)
            await self._database.sync()
            return await self._keys.keep_only(needed)

    async def _rewrap_authenticators(self, key_id: str) -> None:
        async with self._database.write() as session:
            await SecretRepository(session).lock()
            for row in await AuthenticatorRepository(session).under_other_keys(key_id):
                try:
                    context = authenticator_context(row.user_id)
                    secret = await self._keys.unwrap(WrappedKey(row.key_id, row.wrapped), context)
                    wrapped = await self._keys.wrap(secret, context)
                except ConflictError as error:
                    self.care.skipped(f"authenticator of user {row.user_id}", error)
                    continue
                row.key_id, row.wrapped = wrapped.key_id, wrapped.data


async def _needed(session: AsyncSession) -> set[str]:
    """The master keys that some row needs."""
    return await SecretRepository(session).key_ids() | await AuthenticatorRepository(session).key_ids()
