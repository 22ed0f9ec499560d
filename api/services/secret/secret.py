"""Secrets as their owners see and change them. A value comes in, is sealed, and is never shown.

Each change is one transaction under one lock, so that of two writers the second one sees what the first one did, and a
kill leaves a whole version or none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.actor import current_actor
from gamekeeper.control_plane.secret.values import place, scope_of, sealed
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import SecretRow, SecretVersionRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.secret import SecretRepository
from gamekeeper.db.repositories.secret_use import SecretUseRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.secret.name import name_trouble
from gamekeeper.domain.secret.reference import Reference
from gamekeeper.domain.secret.scope import SecretScope
from gamekeeper.domain.secret.value import MAX_VALUE_BYTES, SecretValue
from gamekeeper.domain.secret.version import KEPT_VERSIONS, MAX_SECRETS
from gamekeeper.errors import ConflictError, InvalidError, PreconditionError
from gamekeeper.ports.master_keys import MasterKeys
from gamekeeper.sealing.envelope import seal, unseal

SHOWN_USERS = 10
Content = SecretValue | Reference


@dataclass(frozen=True)
class SecretChange:
    """The parts that are to be new; None leaves a part as it is."""

    content: Content | None = None
    scope: SecretScope | None = None
    description: str | None = None


@dataclass(frozen=True)
class SeenSecret:
    """``versions`` are the newest first; ``users`` are some of those who use it now, in words."""

    row: SecretRow
    versions: Sequence[SecretVersionRow]
    users: Sequence[str]


class SecretService:
    def __init__(self, database: Database, keys: MasterKeys) -> None:
        self._database = database
        self._keys = keys
        self.odd_rows = database.odd_rows

    async def page(self, *, cursor: str | None, limit: int) -> Page[SecretRow]:
        async with self._database.read() as session:
            return await SecretRepository(session).page(cursor=cursor, limit=limit)

    async def get(self, name: str) -> SeenSecret:
        """Raises NotFoundError."""
        async with self._database.read() as session:
            return await _seen(session, await SecretRepository(session).get(name))

    async def set(self, name: str, change: SecretChange, if_match: int | None) -> tuple[SeenSecret, bool]:
        """The secret, and whether it is new. Each value or reference makes a version.

        Raises InvalidError for a wrong name or value, PreconditionError when ``if_match`` names another version of the
        secret, and ConflictError for too many secrets and without a master key.
        """
        if trouble := name_trouble(name):
            raise InvalidError(trouble, code="secret_name")
        _check_value(change.content)
        async with self._changing() as session:
            secrets = SecretRepository(session)
            row = await secrets.find(name)
            is_new = row is None
            if row is None:
                row = await _new(secrets, name, change, if_match)
            else:
                _match(row, if_match)
                row.version += 1
            data = _edited(row, change)
            if change.content is not None:
                data["version"] = await self._add_version(secrets, row, change.content)
            if data:
                fields = {"secret": name, "fields": sorted(data)} | data
                record(session, Event(kind=EventKind.SECRET_SET, message=name, data=fields))
            await secrets.flush()
            return await _seen(session, row), is_new

    async def restore(self, name: str, number: int, if_match: int | None) -> SeenSecret:
        """Makes a new version of an earlier one. Raises NotFoundError, PreconditionError, and ConflictError for a
        destroyed version and for the current one."""
        async with self._changing() as session:
            secrets = SecretRepository(session)
            row = await secrets.get(name)
            _match(row, if_match)
            version = await secrets.version(name, number)
            if version.destroyed_at is not None:
                raise ConflictError(f'version {number} of the secret "{name}" was destroyed', hint="set the value anew")
            if number == row.current:
                raise ConflictError(f'version {number} of the secret "{name}" is in use already')
            row.version += 1
            content = await self._content(row, version)
            made = await self._add_version(secrets, row, content)
            data = {"secret": name, "fields": ["version"], "version": made, "of": number}
            record(session, Event(kind=EventKind.SECRET_SET, message=name, data=data))
            await secrets.flush()
            return await _seen(session, row)

    async def destroy(self, name: str, number: int, if_match: int | None) -> None:
        """Forgets the value of a version that is not in use. Idempotent. Raises NotFoundError, PreconditionError, and
        ConflictError for the current version."""
        async with self._changing() as session:
            secrets = SecretRepository(session)
            row = await secrets.get(name)
            _match(row, if_match)
            version = await secrets.version(name, number)
            if number == row.current:
                raise ConflictError(
                    f'version {number} of the secret "{name}" is in use',
                    hint=f"set a new value first, or remove the secret: gamekeeper secret rm {name}",
                )
            if version.destroyed_at is not None:
                return
            row.version += 1
            version.key_id, version.wrapped_key, version.data, version.reference = "", b"", b"", None
            version.destroyed_at, version.destroyed_by = utc_now(), current_actor()
            data = {"secret": name, "version": number}
            record(session, Event(kind=EventKind.SECRET_DELETED, message=f"{name} version {number}", data=data))

    async def delete(self, name: str, if_match: int | None, *, force: bool) -> None:
        """Removes a secret with all its versions. Raises NotFoundError, PreconditionError, and ConflictError that names
        those who use it, unless forced: they go on with what they have, and can't be started anew."""
        async with self._changing() as session:
            secrets = SecretRepository(session)
            row = await secrets.get(name)
            _match(row, if_match)
            users = await SecretUseRepository(session).of(name, SHOWN_USERS + 1)
            if users and not force:
                raise ConflictError(
                    f'the secret "{name}" is used by {_some(users)}',
                    hint="end them or give them revisions without it; or remove it all the same, with force",
                    code="secret_used",
                )
            await secrets.delete(name)
            reason = "forced" if users else ""
            data = {"secret": name, "used_by": users[:SHOWN_USERS]}
            record(session, Event(kind=EventKind.SECRET_DELETED, message=name, reason=reason, data=data))

    async def forget_ended_uses(self) -> None:
        async with self._database.write() as session:
            await SecretUseRepository(session).forget_ended()

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[AsyncSession]:
        async with self._database.write() as session:
            await SecretRepository(session).lock()
            yield session

    async def _add_version(self, secrets: SecretRepository, row: SecretRow, content: Content) -> int:
        row.current += 1
        version = SecretVersionRow(secret_name=row.name, number=row.current, created_by=current_actor())
        if isinstance(content, Reference):
            version.reference = content.model_dump(exclude_none=True)
        else:
            await self._keys.ensure(await secrets.key_ids())
            made = await seal(self._keys, content, place(row, version))
            version.key_id, version.wrapped_key, version.data = made.key.key_id, made.key.data, made.data
        secrets.add(version)
        await secrets.forget_versions(row.name, below=row.current - KEPT_VERSIONS + 1)
        return row.current

    async def _content(self, row: SecretRow, version: SecretVersionRow) -> Content:
        if version.reference is not None:
            return Reference.model_validate(version.reference)
        return await unseal(self._keys, sealed(version), place(row, version))


async def _new(secrets: SecretRepository, name: str, change: SecretChange, if_match: int | None) -> SecretRow:
    if if_match is not None:
        raise PreconditionError(f'there is no secret "{name}" any more', hint="leave If-Match out to make it anew")
    if change.content is None:
        raise InvalidError(f'there is no secret "{name}" yet, and a new one needs a value', code="secret_value")
    if await secrets.count() >= MAX_SECRETS:
        raise ConflictError(f"there are {MAX_SECRETS} secrets already", hint="remove some: gamekeeper secret rm NAME")
    row = SecretRow(name=name, created_by=current_actor(), scope=SecretScope().model_dump())
    secrets.add(row)
    await secrets.flush()
    return row


def _edited(row: SecretRow, change: SecretChange) -> dict[str, Any]:
    """Sets what is new but the value, and tells the old and the new of each field."""
    changes: dict[str, Any] = {}
    if change.scope is not None and change.scope != scope_of(row):
        changes["scope"] = [row.scope, change.scope.model_dump()]
        row.scope = change.scope.model_dump()
    if change.description is not None and change.description != row.description:
        changes["description"] = [row.description, change.description]
        row.description = change.description
    row.updated_at, row.updated_by = utc_now(), current_actor()
    return changes


def _check_value(content: Content | None) -> None:
    if not isinstance(content, SecretValue):
        return
    if not content:
        raise InvalidError("the value is empty", hint="a secret has a byte at least", code="secret_value")
    if len(content) > MAX_VALUE_BYTES:
        raise InvalidError(
            f"the value has {len(content):,} bytes; the limit is {MAX_VALUE_BYTES:,}",
            hint="keep large files in a volume, and the key that opens them here",
            code="secret_value",
        )


def _match(row: SecretRow, if_match: int | None) -> None:
    if if_match is not None and if_match != row.version:
        raise PreconditionError(
            f'the secret "{row.name}" is at version {row.version} of its row, not {if_match}: somebody changed it',
            hint="read it again, then repeat",
        )


async def _seen(session: AsyncSession, row: SecretRow) -> SeenSecret:
    versions = await SecretRepository(session).versions(row.name)
    return SeenSecret(row, versions, await SecretUseRepository(session).of(row.name, SHOWN_USERS))


def _some(users: Sequence[str]) -> str:
    more = " and more" if len(users) > SHOWN_USERS else ""
    return ", ".join(users[:SHOWN_USERS]) + more
