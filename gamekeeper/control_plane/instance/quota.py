"""Quotas are asked where room is promised: in the same transaction, under the lock that placements take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.access.owner import access_of_owner
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.db.repositories.quota import QuotaRepository
from gamekeeper.db.repositories.reservation import ReservationRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.grant import HolderKind
from gamekeeper.domain.access.target import SERVER
from gamekeeper.domain.access.verb import Verb
from gamekeeper.domain.instance.quota import Quota, exceeded
from gamekeeper.errors import ConflictError, NotFoundError

CODE = "quota"
_LESS = "ask for less, or let the owner or an admin make room"


@asynccontextmanager
async def within_quota(session: AsyncSession, owner: str, asker: str, *, comes_up: bool = False) -> AsyncIterator[None]:
    """Within it the owner's instances may become more, and take more. At its end it raises ConflictError where that is
    more than the owner's quota lets in; then nothing of the transaction may stay. How much that is, and whose, is for
    an ``asker`` who is the owner or may set quotas.

    With ``comes_up`` one that was down is to run again: for that the owner has to be within the quota at all.
    """
    quotas = QuotaRepository(session)
    quota = await quotas.find(owner)
    if quota == Quota():
        yield
        return
    await ReservationRepository(session).lock()
    before = await quotas.use(owner)
    yield
    found = exceeded(quota, before, await quotas.use(owner), comes_up=comes_up)
    if not found:
        return
    if asker != owner and not (await access_of_owner(session, asker)).may(Verb.ADMIN, SERVER):
        raise ConflictError("the quota of the instance's owner is exceeded", hint=_LESS, code=CODE)
    raise await _refusal(session, owner, found)


async def _refusal(session: AsyncSession, owner: str, found: list[str]) -> ConflictError:
    kind, _, owner_id = owner.partition(":")
    name = await _name(session, kind, owner_id)
    return ConflictError(
        f'the quota of the {kind} "{name}" is exceeded: {"; ".join(found)}',
        hint="remove an instance, or give one less (gamekeeper instance ls; one that is stopped counts as well), or an "
        f"admin raises it: gamekeeper {kind} quota {name}",
        code=CODE,
    )


async def _name(session: AsyncSession, kind: str, owner_id: str) -> str:
    """Whoever has a quota is there; the id is for one who goes in this moment."""
    try:
        if kind == HolderKind.USER:
            return (await UserRepository(session).get(owner_id)).name
        return (await KeyRepository(session).get(owner_id)).name
    except NotFoundError:
        return owner_id
