"""Reads the values of secrets for a step or an instance: looks who asks, opens them, and notes the use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import SecretRow, SecretVersionRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.secret import SecretRepository, no_secret
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.secret.reference import Reference
from gamekeeper.domain.secret.scope import SecretScope, may_have, who_may
from gamekeeper.domain.secret.use import SecretUse
from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.errors import (
    ConflictError,
    ForbiddenError,
    GamekeeperError,
    InvalidError,
    UnavailableError,
    UnreadableError,
)
from gamekeeper.ports.master_keys import MasterKeys, WrappedKey
from gamekeeper.ports.outside_store import OutsideStore
from gamekeeper.sealing.envelope import Place, Sealed, unseal
from gamekeeper.supervised import Supervised

MAX_NAMES = 200  # of one call
SELDOM = timedelta(minutes=1)
NOTE_SECONDS = 5.0
MAX_NOTED = 4096
_SCOPE = "an admin gives it the scope: gamekeeper secret scope {name} --pipeline P, --instance I or --node N"
Found = tuple[SecretRow, SecretVersionRow | None]
SecretUser = tuple[str, str]  # the run and the user in words


@dataclass(frozen=True)
class OutsideStores:
    """The stores of others that this api was given; None for one that it was not."""

    vault: OutsideStore | None = None
    file: OutsideStore | None = None

    def of(self, reference: Reference) -> OutsideStore:
        """Raises ConflictError for a store that this api was not given."""
        store = self.vault if reference.vault is not None else self.file
        if store is None:
            kind, setting = ("Vault", "VAULT_ADDRESS") if reference.vault is not None else ("folder", "SECRETS_DIR")
            raise ConflictError(
                f"it is kept in a {kind} of yours, and the api knows none", hint=f"give the api GAMEKEEPER_{setting}"
            )
        return store


class StoredSecretValues:
    """Satisfies ``SecretValues``. A use is noted once a minute for each user and secret. A database that takes no
    writes keeps nobody from what he may have: ``care`` counts the notes that are missing."""

    def __init__(
        self,
        database: Database,
        keys: MasterKeys,
        stores: OutsideStores,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._keys = keys
        self._stores = stores
        self._now = now
        self._noted: OrderedDict[tuple[str, SecretUser], datetime] = OrderedDict()
        self.care = Supervised("secret_uses")

    async def values(self, names: Collection[str], use: SecretUse) -> dict[str, SecretValue]:
        wanted = sorted(set(names))
        if not wanted:
            return {}
        if len(wanted) > MAX_NAMES:
            raise InvalidError(f"{len(wanted)} secrets are asked for at once; the limit is {MAX_NAMES}")
        found = await self._find(wanted)
        for name in wanted:
            if (trouble := trouble_of(name, found.get(name), use, is_placed=True)) is not None:
                raise trouble
        values = await asyncio.gather(*(self._open(found[name]) for name in wanted))
        await self._note(wanted, use)
        return dict(zip(wanted, values, strict=True))

    async def troubles(self, names: Collection[str], use: SecretUse) -> Mapping[str, GamekeeperError]:
        found = await self._find(names)
        judged = {name: trouble_of(name, found.get(name), use, is_placed=bool(use.node)) for name in sorted(set(names))}
        return {name: trouble for name, trouble in judged.items() if trouble is not None}

    async def _find(self, names: Collection[str]) -> dict[str, Found]:
        async with self._database.read() as session:
            return await SecretRepository(session).current(names)

    async def _open(self, found: Found) -> SecretValue:
        row, version = found
        try:
            if version is None or version.destroyed_at is not None:
                raise ConflictError("its current version is not there", hint=f"gamekeeper secret set {row.name}")
            if version.reference is not None:
                reference = reference_of(row.name, version.reference)
                return await self._stores.of(reference).read(reference)
            return await unseal(self._keys, sealed(version), place(row, version))
        except GamekeeperError as error:
            kind = UnavailableError if isinstance(error, UnavailableError) else ConflictError
            message = f'the secret "{row.name}" can\'t be had: {error.message}'
            raise kind(message, hint=error.hint, code="secret") from error

    async def _note(self, names: Collection[str], use: SecretUse) -> None:
        now = self._now()
        due = [name for name in names if not self._is_noted(name, use, now)]
        if not due:
            return
        try:
            async with asyncio.timeout(NOTE_SECONDS), self._database.write() as session:
                await SecretRepository(session).note_use(due, now, str(use)[:300], now - SELDOM)
                record(session, _event(due, use))
        except (UnavailableError, TimeoutError) as error:
            self.care.failed(error)
            return
        self.care.succeeded()
        for name in due:
            self._noted[name, _user(use)] = now
            self._noted.move_to_end((name, _user(use)))
        while len(self._noted) > MAX_NOTED:
            self._noted.popitem(last=False)

    def _is_noted(self, name: str, use: SecretUse, now: datetime) -> bool:
        at = self._noted.get((name, _user(use)))
        return at is not None and now - SELDOM < at <= now


def place(row: SecretRow, version: SecretVersionRow) -> Place:
    return Place(row.id, row.name, version.number)


def scope_of(row: SecretRow) -> SecretScope:
    """Raises UnreadableError for one of a newer version."""
    try:
        return SecretScope.model_validate(row.scope)
    except ValueError as error:
        raise UnreadableError(f'the scope of the secret "{row.name}"', error) from error


def reference_of(name: str, given: dict[str, Any]) -> Reference:
    """Raises UnreadableError for one of a newer version."""
    try:
        return Reference.model_validate(given)
    except ValueError as error:
        raise UnreadableError(f'the reference of the secret "{name}"', error) from error


def sealed(version: SecretVersionRow) -> Sealed:
    return Sealed(WrappedKey(version.key_id, version.wrapped_key), version.data)


def trouble_of(name: str, found: Found | None, use: SecretUse, *, is_placed: bool) -> GamekeeperError | None:
    if found is None:
        return no_secret(name)
    scope = scope_of(found[0])
    if may_have(scope, use) or (not is_placed and who_may(scope, use)):
        return None
    hint = _SCOPE.format(name=name)
    return ForbiddenError(f'the secret "{name}" may not be had by {use}', hint=hint, code="secret_scope")


def _user(use: SecretUse) -> SecretUser:
    return use.run, str(use)


def _event(names: Collection[str], use: SecretUse) -> Event:
    return Event(
        kind=EventKind.SECRET_READ,
        node=use.node,
        run=use.run,
        step=use.step,
        instance=use.instance,
        message=", ".join(names),
        data={"secrets": list(names), "pipeline": use.pipeline},
    )
