"""Callers: who asks, as one credential says.

A caller is known by its id. Its name is for people: it is free again when its owner has ended, and somebody else may
have it then.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from gamekeeper.domain.access.access import Access, access_of
from gamekeeper.domain.access.grant import Grant, holder
from gamekeeper.domain.access.target import SERVER, Target
from gamekeeper.domain.access.verb import Verb
from gamekeeper.errors import ForbiddenError


class CallerKind(StrEnum):
    """The kind of a caller, as events tell it before its name."""

    KEY = "key"
    USER = "user"


_WORDS = {CallerKind.KEY: "API key", CallerKind.USER: "user"}


@dataclass(frozen=True)
class Caller:
    """Whoever calls by a secret that is good until then; ``until`` is None for one without an end. The SHA-256 of the
    secret tells two credentials of one caller apart. ``grants`` are what the caller has beside its role.

    A user calls by a session or by a key of its own: the ids say by which. Other keys call for themselves.
    """

    kind: CallerKind
    id: str
    name: str
    role: str
    secret_hash: str
    until: datetime | None
    grants: tuple[Grant, ...] = field(default=(), compare=False)
    key_id: str = ""
    session_id: str = ""

    @property
    def actor(self) -> str:
        """As events name it."""
        return f"{self.kind}:{self.name}"

    @property
    def user_id(self) -> str:
        """Empty for a key that is nobody's."""
        return self.id if self.kind is CallerKind.USER else ""

    @property
    def means(self) -> str:
        """The key by which a user calls, as events tell it; empty for a session, and for a key that is nobody's."""
        return self.key_id if self.kind is CallerKind.USER else ""

    @property
    def words(self) -> str:
        """As messages name it."""
        return f'the {_WORDS[self.kind]} "{self.name}"'

    def may(self, verb: Verb) -> bool:
        """True for a verb that is held on everything."""
        return verb in self.access.verbs()

    @cached_property
    def access(self) -> Access:
        """All that the caller may do, as it was known when the call began."""
        return access_of(holder(self.kind, self.id), self.role, self.grants, f"{self.words} ({self.role})")

    def check(self, verb: Verb, also: str = "") -> None:
        """Raises ForbiddenError for a verb that is not held on the server."""
        self.access.check(verb, SERVER, also)

    def at(self, now: datetime) -> Caller:
        """The same without grants that have ended by now."""
        if all(grant.is_good(now) for grant in self.grants):
            return self
        return replace(self, grants=tuple(grant for grant in self.grants if grant.is_good(now)))

    def refusal(self, verb: Verb, target: Target | None = None, also: str = "") -> ForbiddenError:
        """As ``Access.refusal``."""
        return self.access.refusal(verb, target, also)
