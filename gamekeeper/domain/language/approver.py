"""Approvers: the words of an approval's ``allow``, which say who may answer it.

A word is a role, ``user:NAME`` or ``key:NAME``. A name without its kind is none: a user may be called ``operator``.
"""

from __future__ import annotations

from collections.abc import Iterable

from gamekeeper.domain.language.problem import Path, ProblemList, did_you_mean
from gamekeeper.domain.language.values import has_template

ROLES = ("operator", "developer", "admin")  # those that have the verb ``approve``
HOLDERS = ("user", "key")
MAX_APPROVERS = 50
MAX_NAME = 200


def role_of(word: str) -> str:
    """The role of a word, which may be written as its plural; empty for a word that is none."""
    return next((role for role in ROLES if word in (role, f"{role}s")), "")


def holder_of(word: str) -> tuple[str, str]:
    """The kind and the name of a user or a key; both empty for a word that is neither."""
    kind, _, name = word.partition(":")
    return (kind, name) if kind in HOLDERS and 1 <= len(name) <= MAX_NAME else ("", "")


def approvers(words: Iterable[str]) -> list[str]:
    """Each of them once, roles in the singular."""
    return list(dict.fromkeys(role_of(word) or word for word in words))


def told(words: Iterable[str]) -> str:
    """Words for people: ``operator, user:mia or key:ci``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def check_approvers(words: list[str], path: Path, problems: ProblemList) -> None:
    """Adds a problem for each word that can't mean anybody."""
    if len(words) > MAX_APPROVERS:
        problems.add(path, "range", f"{len(words)} entries; {MAX_APPROVERS} is the limit", "name a role")
        return
    for index, word in enumerate(words):
        if has_template(word):
            message, hint = "who may answer is written out, so that no argument chooses it", "write a role or a name"
            problems.add((*path, index), "approver", message, hint)
        elif not (role_of(word) or holder_of(word)[0]):
            problems.add((*path, index), "approver", f'"{word}" is no role that may answer', _hint(word))


def _hint(word: str) -> str:
    if word in ("viewer", "viewers", "guest", "guests"):
        return f"a {word.removesuffix('s')} may not approve by its role; name people: user:NAME"
    meant = did_you_mean(word, ROLES)
    return f"{meant}; a user is user:NAME, and a key key:NAME"
