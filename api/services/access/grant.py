"""Grants as they are kept: made, listed and removed. Nobody gives more than they have.

Each change looks anew at whoever asks for it, as changes of keys do: one whose own grant was just taken away, which
other processes know for some seconds more, gives nothing to others meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.changing import Changes
from gamekeeper.actor import current_actor
from gamekeeper.control_plane.access.owner import access_of_owner
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import GrantRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.grant import GrantRepository
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.api_key import ApiKeyState
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.gives import check_gives
from gamekeeper.domain.access.grant import MAX_GRANTS, Grant, HolderKind
from gamekeeper.domain.access.role import verbs_of
from gamekeeper.domain.access.selector import ALL, Selector
from gamekeeper.domain.access.verb import Verb
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError


@dataclass(frozen=True)
class Gift:
    """A role, or verbs, on objects, and whoever is to get it."""

    kind: HolderKind
    holder_id: str
    selector: Selector
    role: str = ""
    verbs: frozenset[Verb] = frozenset()

    @property
    def all_verbs(self) -> frozenset[Verb]:
        return verbs_of(self.role) if self.role else self.verbs


class GrantService:
    """Changes are those of the key ring: they take turns with those of keys, and all processes feel them as soon."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes
        self.odd_rows = database.odd_rows

    async def get(self, grant_id: str) -> GrantRow:
        """Raises NotFoundError."""
        async with self._database.read() as session:
            return await GrantRepository(session).get(grant_id)

    async def page(
        self, *, holder_kind: str | None, holder_id: str | None, kind: str | None, cursor: str | None, limit: int
    ) -> Page[GrantRow]:
        async with self._database.read() as session:
            return await GrantRepository(session).page(
                holder_kind=holder_kind, holder_id=holder_id, kind=kind, cursor=cursor, limit=limit
            )

    async def make(self, by: Caller, gift: Gift, lifetime: timedelta | None) -> GrantRow:
        """Raises NotFoundError for a holder that is not there, ForbiddenError for more than ``by`` has, and
        ConflictError for a holder that has ended or has too many."""
        row = _row(gift)
        async with self._changes.by(by) as session:
            now, grants = utc_now(), GrantRepository(session)
            await _check_gives(session, by.access, gift.all_verbs, gift.selector)
            await _check_holder(session, gift)
            if await grants.count_of(gift.kind, gift.holder_id, now) >= MAX_GRANTS:
                whose = f"{gift.kind} {gift.holder_id}"
                raise ConflictError(
                    f"{whose} has {MAX_GRANTS} grants already", hint="one by a label says as much as many by ids"
                )
            row.created_at, row.expires_at = now, None if lifetime is None else now + lifetime
            before = await _told(session, row)
            grants.add(row)
            await session.flush()
            await _tell(session, EventKind.GRANT_MADE, row, before)
        return row

    async def remove(self, by: Caller, grant_id: str) -> None:
        """Raises NotFoundError, and ForbiddenError for one that ``by`` could not give. It takes no key's own role, so
        somebody stays who can give them."""
        async with self._changes.by(by) as session:
            grants = GrantRepository(session)
            row = await grants.get(grant_id)
            grant = row.grant()
            await _check_gives(session, by.access, grant.verbs, grant.selector)
            before = await _told(session, row)
            await grants.delete(row)
            await session.flush()
            await _tell(session, EventKind.GRANT_REMOVED, row, before)


def _row(gift: Gift) -> GrantRow:
    selector = gift.selector
    return GrantRow(
        holder_kind=gift.kind.value,
        holder_id=gift.holder_id,
        role=gift.role,
        verbs=[] if gift.role else [verb.value for verb in Verb if verb in gift.verbs],
        kind=ALL if selector.kind is None else selector.kind.value,
        ids=list(selector.ids),
        labels=dict(selector.labels),
        is_own=selector.is_own,
        created_by=current_actor(),
    )


async def _check_gives(session: AsyncSession, access: Access, verbs: Collection[Verb], selector: Selector) -> None:
    """It has to be the caller's now: some seconds ago is not enough."""
    for each in (access, await access_of_owner(session, access.holder)):
        check_gives(each, verbs, selector)


async def _check_holder(session: AsyncSession, gift: Gift) -> None:
    """A slip in an id would give something to whoever gets that id, or to nobody. What a grant is about may come later:
    ids of objects are not looked up."""
    if gift.kind is HolderKind.KEY:
        row = await KeyRepository(session).get(gift.holder_id)
        if row.state is not ApiKeyState.GOOD:
            raise ConflictError(f'the API key "{row.name}" is {row.state.value}', hint="make another one")
    else:
        await UserRepository(session).get(gift.holder_id)


async def _told(session: AsyncSession, row: GrantRow) -> list[str]:
    """All good grants of the holder, in words."""
    whose = (row.holder_kind, row.holder_id)
    found = await GrantRepository(session).good([whose], utc_now())
    return [in_words(grant) for grant in found.get(f"{row.holder_kind}:{row.holder_id}", ())]


async def _tell(session: AsyncSession, kind: EventKind, row: GrantRow, before: list[str]) -> None:
    grant = row.grant()
    data: dict[str, Any] = {
        "grant": row.id,
        "holder": f"{row.holder_kind}:{row.holder_id}",
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "before": before,
        "after": await _told(session, row),
    }
    record(session, Event(kind=kind, message=f"{data['holder']}: {in_words(grant)}", data=data))


def in_words(grant: Grant) -> str:
    given = grant.role or ", ".join(verb.value for verb in Verb if verb in grant.verbs) or "nothing"
    return f"{given} on {grant.selector}"
