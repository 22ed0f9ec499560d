"""Callers: who asks, as one credential says.

A caller is known by its id. Its name is for people: it is free again when its owner has ended, and somebody else may
have it then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gamekeeper.domain.access.role import Role, verbs_of
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
    secret tells two credentials of one caller apart.

    A user calls by a session or by a key of its own: the ids say by which. Other keys call for themselves.
    """

    kind: CallerKind
    id: str
    name: str
    role: str
    secret_hash: str
    until: datetime | None
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
        return verb in verbs_of(self.role)

    def check(self, verb: Verb, also: str = "") -> None:
        """Raises ForbiddenError for a verb that is not its role's. ``also`` is what whoever is refused has to know
        beside the roles."""
        if not self.may(verb):
            able = ", ".join(role for role in Role if verb in verbs_of(role))
            raise ForbiddenError(
                f'{self.words} ({self.role}) lacks the verb "{verb}"',
                hint=f"use a key of one of these roles: {able}" + (f"; {also}" if also else ""),
            )
