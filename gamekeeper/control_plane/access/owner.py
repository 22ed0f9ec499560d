"""The access of the owner of a run, as it is now. It is asked for where a run begins another one, or a schedule does,
and nobody is there to show a credential."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.grant import GrantRepository
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.access import Access, access_of
from gamekeeper.domain.access.api_key import ApiKeyState
from gamekeeper.domain.access.grant import HolderKind
from gamekeeper.domain.access.user import UserState
from gamekeeper.errors import NotFoundError


async def access_of_owner(session: AsyncSession, owner: str) -> Access:
    """Nothing for an owner whose key has ended, and for what was begun before there were owners."""
    kind, _, owner_id = owner.partition(":")
    role = await _role(session, kind, owner_id)
    if role is None:
        return Access(owner)
    found = await GrantRepository(session).good([(kind, owner_id)], utc_now())
    return access_of(owner, role, found.get(owner, ()))


async def _role(session: AsyncSession, kind: str, owner_id: str) -> str | None:
    try:
        if kind == HolderKind.USER:
            user = await UserRepository(session).get(owner_id)
            return user.role if user.state == UserState.ACTIVE else None
        if kind == HolderKind.KEY:
            row = await KeyRepository(session).get(owner_id)
            return row.role if row.state is ApiKeyState.GOOD else None
    except NotFoundError:
        pass
    return None
