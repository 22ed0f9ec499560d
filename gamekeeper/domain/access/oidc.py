"""A person whom an OpenID provider has recognised, and the role that its groups give here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gamekeeper.domain.access.role import Role

MAX_ISSUER, MAX_SUBJECT = 255, 255
MAX_IDENTITIES = 10  # of one user
ATTEMPT_LIFETIME = timedelta(minutes=10)  # for a person to sign in at the provider
CODE_LIFETIME = timedelta(minutes=2)  # for a program to fetch its session


@dataclass(frozen=True)
class Recognised:
    """A person whom a provider has recognised. ``issuer`` and ``subject`` say who it is; the rest may change from one
    sign-in to the next, and two persons may have the same."""

    issuer: str
    subject: str
    name: str = ""
    called: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class GroupRoles:
    """Roles by groups of the provider. Without any, roles are Gamekeeper's own matter, and ``otherwise`` is that of new
    users; with some, ``otherwise`` is the role of whoever is in none of them. None lets nobody in."""

    by_group: Mapping[str, Role] = field(default_factory=dict)
    otherwise: Role | None = None

    def of(self, groups: Collection[str]) -> Role | None:
        """The highest one."""
        found = {self.by_group[group] for group in groups if group in self.by_group}
        return max(found, key=list(Role).index, default=self.otherwise)


@dataclass(frozen=True)
class OidcRules:
    """``button`` is shown by the page of the sign-in. Without ``makes_users``, an admin links each user first."""

    button: str
    roles: GroupRoles
    makes_users: bool = False
