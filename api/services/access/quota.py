"""Quotas of users and keys: read with what is used of them, and set by an admin."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import QuotaRow
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.db.repositories.quota import QuotaRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.grant import HolderKind, holder
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.quota import Quota, QuotaUse
from gamekeeper.errors import ConflictError


@dataclass(frozen=True)
class QuotaState:
    """The limits, and what the instances hold of them now."""

    quota: Quota
    use: QuotaUse


class QuotaService:
    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    async def of(self, kind: HolderKind, holder_id: str) -> QuotaState:
        """Raises NotFoundError, and ConflictError for a key that is a user's."""
        async with self._database.read() as session:
            await _name(session, kind, holder_id)
            return await _state(session, holder(kind, holder_id))

    async def of_caller(self, caller: Caller) -> QuotaState:
        """One's own; a key of a user has its user's."""
        async with self._database.read() as session:
            return await _state(session, caller.access.holder)

    async def change(
        self, by: Caller, kind: HolderKind, holder_id: str, changes: dict[str, int | float | None]
    ) -> QuotaState:
        """Sets these limits and leaves the others. Nothing that is there is stopped. Raises as ``of``."""
        owner = holder(kind, holder_id)
        async with self._changes.by(by) as session:
            name = await _name(session, kind, holder_id)
            quotas = QuotaRepository(session)
            before = await quotas.find(owner)
            after = replace(before, **changes)  # type: ignore[arg-type]
            if after != before:
                await quotas.put(QuotaRow(owner=owner, changed_by=current_actor(), **asdict(after)))
                data = {"holder": owner, "before": asdict(before), "after": asdict(after)}
                record(session, Event(kind=EventKind.QUOTA_CHANGED, message=name, data=data))
            return await _state(session, owner)


async def _state(session: AsyncSession, owner: str) -> QuotaState:
    quotas = QuotaRepository(session)
    return QuotaState(await quotas.find(owner), await quotas.use(owner))


async def _name(session: AsyncSession, kind: HolderKind, holder_id: str) -> str:
    if kind is HolderKind.USER:
        return (await UserRepository(session).get(holder_id)).name
    key = await KeyRepository(session).get(holder_id)
    if key.user_id is not None:
        whose = "is a user's, and what it makes is that user's"
        raise ConflictError(f'the API key "{key.name}" {whose}', hint=f"the quota of user {key.user_id} counts")
    return key.name
