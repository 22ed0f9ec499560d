"""Grants: verbs on the objects of a selector, given to a user or to a key, for good or until an end.

Grants only add. There is none that takes away, so two of them can't contradict each other, and the order in which
they were made means nothing: what somebody may do is all that any of their grants says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from gamekeeper.domain.access.role import verbs_of
from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.verb import Verb

MAX_GRANTS = 100  # of one holder
MAX_GRANT_LIFETIME = timedelta(days=366)
KEPT_AFTER_END = timedelta(days=30)


class HolderKind(StrEnum):
    """A grant is held by one of these."""

    KEY = "key"
    USER = "user"


@dataclass(frozen=True)
class Grant:
    """``role`` is the name of the set of verbs that was given; empty where the verbs were given one by one. ``id`` is
    empty for what comes with the role of a key or a user itself."""

    verbs: frozenset[Verb]
    selector: Selector = field(default_factory=Selector)
    expires_at: datetime | None = None
    role: str = ""
    id: str = ""

    def is_good(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


def of_role(role: str) -> Grant:
    """The role of a key or a user is a grant of that role on everything."""
    return Grant(verbs_of(role), role=role)


def holder(kind: str, holder_id: str) -> str:
    """The name of a holder that never means anybody else: names can be given again, ids can't."""
    return f"{kind}:{holder_id}"
