"""Joining by a join key: the states of keys and of joins, and the rule that gives a machine its node id.

A join key lets machines in that nobody has named before, so the key's name pattern decides on the id. An id that a
node has already is never given away by a key: see ``JoinReason.NAME_TAKEN``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from gamekeeper.domain.node.node import MAX_NODE_ID, NODE_ID
from gamekeeper.errors import InvalidError

HOST_PATTERN = "{host}"
NUMBER_MARK = "{n}"
FINGERPRINT_GROUPS = 4  # of four hexadecimal digits each: 64 bits, which nobody finds a second key for
_NO_NAMES = frozenset({"", "localhost"})


class KeyState(StrEnum):
    """The state of a join key; only a good one lets a further machine in."""

    GOOD = "good"
    USED_UP = "used_up"
    EXPIRED = "expired"
    REVOKED = "revoked"


class JoinState(StrEnum):
    """The state of one machine's join by a key."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    JOINED = "joined"


HOLDS_A_USE = frozenset({JoinState.WAITING, JoinState.APPROVED})  # of its key; given back if nothing comes of it


class JoinReason(StrEnum):
    """The reason why a join waits for an operator."""

    KEY_ASKS = "key_asks"
    NAME_TAKEN = "name_taken"


def key_state(
    *, uses: int, max_uses: int, expires_at: datetime, revoked_at: datetime | None, now: datetime
) -> KeyState:
    if revoked_at is not None:
        return KeyState.REVOKED
    if expires_at <= now:
        return KeyState.EXPIRED
    return KeyState.USED_UP if uses >= max_uses else KeyState.GOOD


def check_name_pattern(pattern: str) -> str:
    """The pattern. Raises InvalidError for one that gives no node id."""
    if pattern.count(NUMBER_MARK) > 1 or pattern.count(HOST_PATTERN) > 1 or not re.fullmatch(NODE_ID, _filled(pattern)):
        raise InvalidError(
            f'"{pattern}" gives no node id',
            hint="write small letters, digits and hyphens, {host} for the machine's host name, {n} for a number",
        )
    return pattern


def host_label(host: str) -> str:
    """The first part of a host name as a node id, or as a part of one. Raises InvalidError where it gives none."""
    label = re.sub(r"[^a-z0-9]+", "-", host.partition(".")[0].lower()).strip("-")
    if label in _NO_NAMES:
        raise InvalidError(
            f'the host name "{host}" gives no node id', hint="give the machine a host name, or the agent --node NAME"
        )
    return label


def node_id_of(pattern: str, host: str, taken: Collection[str]) -> str:
    """The id that the pattern gives a machine: with ``{n}`` the smallest number that is free, and without it one that
    may be taken. Raises InvalidError for a host name that gives none."""
    label = host_label(host) if HOST_PATTERN in pattern else ""
    if NUMBER_MARK not in pattern:
        return _fitted(pattern, label)
    number = 1
    while (found := _fitted(pattern.replace(NUMBER_MARK, str(number)), label)) in taken:
        number += 1
    return found


def short_fingerprint(fingerprint: str) -> str:
    """The first digits of a hexadecimal SHA-256, as people compare them: ``3f2a-91bc-7d10-44e9``."""
    return "-".join(fingerprint[at * 4 : at * 4 + 4] for at in range(FINGERPRINT_GROUPS))


def _filled(pattern: str) -> str:
    """The pattern with the shortest host name and the longest number."""
    return pattern.replace(HOST_PATTERN, "a").replace(NUMBER_MARK, "99999")


def _fitted(pattern: str, label: str) -> str:
    """The label is cut, and the pattern is not, where both are longer than an id may be."""
    room = MAX_NODE_ID - len(pattern.replace(HOST_PATTERN, ""))
    return pattern.replace(HOST_PATTERN, label[: max(room, 1)].rstrip("-"))
