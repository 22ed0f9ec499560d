"""Roles: sets of verbs that belong together, each with all verbs of the one before."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from gamekeeper.domain.access.verb import Verb


class Role(StrEnum):
    """The name of a set of verbs, and who is meant to have it."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    GUEST = "guest", "can do just what grants say: a customer, a player, a program for one server"
    VIEWER = "viewer", "looks on: a dashboard, a monitor"
    OPERATOR = "operator", "keeps running what is there: a friend who helps at night"
    DEVELOPER = "developer", "makes and changes pipelines and instances too"
    ADMIN = "admin", "does everything"


_VIEWER = frozenset({Verb.SEE, Verb.LOGS})
_OPERATOR = _VIEWER | {Verb.CONSOLE, Verb.POWER, Verb.RUN, Verb.APPROVE}
_DEVELOPER = _OPERATOR | {Verb.FILES, Verb.EDIT, Verb.SHELL}
_VERBS: dict[str, frozenset[Verb]] = {
    Role.GUEST: frozenset(),
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.DEVELOPER: _DEVELOPER,
    Role.ADMIN: frozenset(Verb),
}


def verbs_of(role: str) -> frozenset[Verb]:
    """The verbs of a role; none for one that this version does not know: a newer one wrote it."""
    return _VERBS.get(role, frozenset())


def lower_of(role: str, ceiling: str) -> str:
    """The role, or the ceiling where that may do less. One that this version does not know may do nothing."""
    able, most = verbs_of(role), verbs_of(ceiling)
    return role if able <= most else ceiling
