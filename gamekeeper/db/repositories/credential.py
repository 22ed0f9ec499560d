"""SQL of credentials: who calls by a secret, be it one of a key or of a session. And who may let others in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import ApiKeyRow, ApiKeySecretRow, PasskeyRow, SessionRow, UserRow
from gamekeeper.db.readable import column, readable
from gamekeeper.db.repositories.grant import GrantRepository
from gamekeeper.db.repositories.key import KeyRepository, is_good_key, is_good_secret
from gamekeeper.domain.access.caller import Caller, CallerKind
from gamekeeper.domain.access.grant import Grant, HolderKind, holder
from gamekeeper.domain.access.role import Role, lower_of, verbs_of
from gamekeeper.domain.access.user import SessionTerms, UserKind, UserState
from gamekeeper.domain.access.ways_in import WaysIn

Grants = Mapping[str, tuple[Grant, ...]]


class CredentialRepository:
    def __init__(self, session: AsyncSession, terms: SessionTerms) -> None:
        self._session = session
        self._terms = terms

    async def caller(self, secret_hash: str, now: datetime) -> Caller | None:
        """None for a secret that is not good."""
        return (await self.callers([secret_hash], now)).get(secret_hash)

    async def callers(self, secret_hashes: Sequence[str], now: datetime) -> dict[str, Caller]:
        """Those of the secrets that are good. What can't be read opens nothing, and ends nobody else's."""
        keys = [row for row in await KeyRepository(self._session).by_hashes(secret_hashes) if is_good(*row, now)]
        sessions = await self._sessions(secret_hashes, now)
        users = await self._users({key.user_id for _, key in keys if key.user_id} | {row.user_id for row in sessions})
        holders = {(HolderKind.KEY.value, key.id) for _, key in keys} | {(HolderKind.USER.value, id_) for id_ in users}
        grants = await GrantRepository(self._session).good(holders, now)
        found = {secret.key_hash: _by_key(secret, key, users, grants) for secret, key in keys}
        found |= {
            row.token_hash: _by_session(row, users, grants, self._terms.end(row.created_at, row.last_used_at))
            for row in sessions
        }
        return {secret_hash: caller for secret_hash, caller in found.items() if caller is not None}

    async def good_hashes(self, now: datetime) -> frozenset[str]:
        """Hashes of all secrets that are good, and perhaps of some more whose user is disabled."""
        keys = select(ApiKeySecretRow.key_hash).join(ApiKeyRow, col(ApiKeyRow.id) == col(ApiKeySecretRow.key_id))
        sessions = select(SessionRow.token_hash).where(*self._open(now))
        good = (await self._session.exec(keys.where(is_good_key(now), is_good_secret(now)))).all()
        return frozenset(good) | frozenset((await self._session.exec(sessions)).all())

    async def _sessions(self, token_hashes: Sequence[str], now: datetime) -> list[SessionRow]:
        query = select(SessionRow).where(col(SessionRow.token_hash).in_(token_hashes), *self._open(now))
        return (await readable(self._session, query, column(SessionRow.id)))[0]

    async def _users(self, user_ids: set[str]) -> dict[str, UserRow]:
        if not user_ids:
            return {}
        query = select(UserRow).where(col(UserRow.id).in_(user_ids), col(UserRow.state) == UserState.ACTIVE)
        return {row.id: row for row in (await readable(self._session, query, column(UserRow.id)))[0]}

    def _open(self, now: datetime) -> tuple[ColumnElement[bool], ...]:
        return (
            col(SessionRow.ended_at).is_(None),
            col(SessionRow.last_used_at) > now - self._terms.idle,
            col(SessionRow.created_at) > now - self._terms.longest,
        )


async def has_admin(
    session: AsyncSession, now: datetime, ways: WaysIn, *, but_key: str = "", but_user: str = ""
) -> bool:
    """True where somebody may let others in: a user who signs in with a password or a passkey that is not void, or a
    key that is good then. Neither the key nor the user with these ids counts."""
    admins = and_(col(UserRow.role) == Role.ADMIN, col(UserRow.state) == UserState.ACTIVE, col(UserRow.id) != but_user)
    by_password = and_(col(UserRow.password_hash) != "", col(UserRow.password_until).is_(None))
    by_passkey = col(UserRow.id).in_(select(PasskeyRow.user_id).where(col(PasskeyRow.rp_id) == ways.rp_id))
    persons = select(func.count()).where(admins, col(UserRow.kind) == UserKind.PERSON, or_(by_password, by_passkey))
    if (await session.exec(persons)).one():
        return True
    of_admins = or_(col(ApiKeyRow.user_id).is_(None), col(ApiKeyRow.user_id).in_(select(UserRow.id).where(admins)))
    keys = is_good_key(now), col(ApiKeyRow.role) == Role.ADMIN, col(ApiKeyRow.id) != but_key, of_admins
    return bool((await session.exec(select(func.count()).where(*keys))).one())


def is_good(secret: ApiKeySecretRow, key: ApiKeyRow, now: datetime) -> bool:
    return key.revoked_at is None and all(end is None or end > now for end in (secret.good_until, key.expires_at))


def _by_key(secret: ApiKeySecretRow, key: ApiKeyRow, users: dict[str, UserRow], grants: Grants) -> Caller | None:
    """A key of a user does what its user may do, and no more than the key's own role has."""
    until = min((end for end in (secret.good_until, key.expires_at) if end is not None), default=None)
    if key.user_id is None:
        own = grants.get(holder(CallerKind.KEY, key.id), ())
        return Caller(CallerKind.KEY, key.id, key.name, key.role, secret.key_hash, until, own, key_id=key.id)
    user = users.get(key.user_id)
    if user is None:
        return None
    role = lower_of(user.role, ceiling=key.role)
    most = verbs_of(key.role)
    own = tuple(replace(grant, verbs=grant.verbs & most) for grant in grants.get(holder(CallerKind.USER, user.id), ()))
    return Caller(CallerKind.USER, user.id, user.name, role, secret.key_hash, until, own, key_id=key.id)


def _by_session(row: SessionRow, users: dict[str, UserRow], grants: Grants, until: datetime) -> Caller | None:
    user = users.get(row.user_id)
    if user is None:
        return None
    own = grants.get(holder(CallerKind.USER, user.id), ())
    return Caller(CallerKind.USER, user.id, user.name, user.role, row.token_hash, until, own, session_id=row.id)
