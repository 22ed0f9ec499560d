"""The user behind a person whom an OpenID provider has recognised, with the role that its groups give.

Issuer and subject alone say who somebody is. A name or a mail address makes nobody the user who has it here: an admin
links the two.
"""

from __future__ import annotations

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.user import check_room_for, check_somebody_left
from gamekeeper.db.event_log import record
from gamekeeper.db.models import IdentityRow, UserRow
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.db.repositories.identity import IdentityRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.oidc import OidcRules, Recognised
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import MAX_DISPLAY_NAME, UserState
from gamekeeper.domain.access.user_name import name_key, name_looks, user_name
from gamekeeper.domain.access.ways_in import WaysIn
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, ForbiddenError

UNKNOWN, NO_GROUP, NAME_TAKEN, NO_NAME = "oidc_unknown", "oidc_no_group", "oidc_name_taken", "oidc_no_name"
BY_PROVIDER = "oidc"  # in the place of whoever made a user


class OidcUsers:
    def __init__(self, rules: OidcRules, ways: WaysIn) -> None:
        self._ways = ways
        self._rules = rules

    async def settle(self, session: AsyncSession, who: Recognised, address: str) -> UserRow:
        """The user, held, with the role of now. Raises ForbiddenError for somebody who may not come in, and
        ConflictError for a name that is taken and for a role that the last admin would lose."""
        identities = IdentityRepository(session)
        identity = await identities.find(who.issuer, who.subject)
        if identity is None:
            user = await self._make(session, who, address)
            identity = IdentityRow(user_id=user.id, issuer=who.issuer, subject=who.subject, created_by=BY_PROVIDER)
            identities.add(identity)
        else:
            user = await UserRepository(session).locked(identity.user_id)
            _check_active(user)
            await self._change_role(session, user, who, address)
        identity.name, identity.last_sign_in_at = storable(who.name), utc_now()
        return user

    def role_of(self, who: Recognised) -> Role:
        """Raises ForbiddenError for somebody in no group that lets in."""
        role = self._rules.roles.of(who.groups)
        if role is None:
            raise ForbiddenError(
                "none of your groups at the provider lets you in here",
                hint="an admin may look at your groups there, and at GAMEKEEPER_OIDC_ROLES",
                code=NO_GROUP,
            )
        return role

    async def _make(self, session: AsyncSession, who: Recognised, address: str) -> UserRow:
        if not self._rules.makes_users:
            raise ForbiddenError(
                "nobody has linked your account at the provider to a user here",
                hint=f"tell an admin its subject, {who.subject[:64]}: gamekeeper identity link USER SUBJECT",
                code=UNKNOWN,
            )
        role, users = self.role_of(who), UserRepository(session)
        name = _name(who)
        row = UserRow(
            name=name,
            name_key=name_key(name),
            name_looks=name_looks(name),
            display_name=_shown(who.called),
            role=role,
            created_by=BY_PROVIDER,
        )
        if await users.find_like(row.name_key, row.name_looks) is not None:
            raise ConflictError(
                f'your name at the provider, "{name}", is that of a user here, or looks like it',
                hint="where both are you, have an admin link them: gamekeeper identity link",
                code=NAME_TAKEN,
            )
        await check_room_for(users)
        users.add(row)
        await session.flush()
        _tell(session, EventKind.USER_MADE, row, address, role=row.role, issuer=who.issuer)
        return row

    async def _change_role(self, session: AsyncSession, user: UserRow, who: Recognised, address: str) -> None:
        """The role of now, where groups give roles. Else they are Gamekeeper's own matter."""
        if not self._rules.roles.by_group:
            return
        before, role = user.role, self.role_of(who)
        if role == before:
            return
        user.role = role
        if before == Role.ADMIN:
            await check_somebody_left(session, user, self._ways)
        _tell(session, EventKind.USER_CHANGED, user, address, changes={"role": [before, role]}, issuer=who.issuer)


def _check_active(user: UserRow) -> None:
    if user.state != UserState.ACTIVE:
        raise ForbiddenError(f'the user "{user.name}" is disabled', hint="an admin can enable it", code="disabled")


def _name(who: Recognised) -> str:
    """The name in the form in which it is kept. Raises ForbiddenError for one that is none."""
    try:
        if not who.name:
            raise ValueError("it tells none")
        return user_name(who.name)
    except ValueError as error:
        raise ForbiddenError(
            f"your name at the provider is none for a user here: {error}",
            hint="an admin can make the user, and link it: gamekeeper identity link",
            code=NO_NAME,
        ) from error


def _shown(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:MAX_DISPLAY_NAME]


def _tell(session: AsyncSession, kind: EventKind, user: UserRow, address: str, **data: Any) -> None:
    """In the name of the user, for whom the provider has vouched."""
    about = {"user": user.id} | data
    actor = {"actor": f"user:{user.name}", "actor_id": user.id, "address": address}
    record(session, Event(kind=kind, message=user.name, data=about).model_copy(update=actor))
