"""Quotas: the most that the instances of one user, or of a key that is nobody's, may be and hold together.

They are about room that is held, not about what runs: an instance that is stopped keeps its room, and counts
(decision 28). Nobody's instances are stopped by a quota that was lowered; they just don't become more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gamekeeper.domain.node.placement_words import number, size

MAX_INSTANCES = MAX_PORTS = 1_000_000
MAX_CPUS = 1_000_000.0
MAX_MEMORY_BYTES = 2**50  # a reader of JSON may have doubles alone, in which larger numbers are not exact
_ROUNDING = 1e-6  # of sums of tenths of CPUs


@dataclass(frozen=True)
class Quota:
    """None is no limit. A port is one number of one protocol."""

    instances: int | None = None
    cpus: float | None = None
    memory_bytes: int | None = None
    ports: int | None = None


@dataclass(frozen=True)
class QuotaUse:
    instances: int = 0
    cpus: float = 0.0
    memory_bytes: int = 0
    ports: int = 0


class _Words(Protocol):
    def __call__(self, count: float, /) -> str: ...


_ITEMS: dict[str, tuple[str, _Words]] = {
    "instances": ("instances", number),
    "cpus": ("CPUs", number),
    "memory_bytes": ("of memory", lambda count: size(int(count))),
    "ports": ("ports", number),
}
NAMES = tuple(_ITEMS)


def exceeded(quota: Quota, before: QuotaUse, after: QuotaUse, *, comes_up: bool = False) -> list[str]:
    """The limits, in words, that a change goes beyond: those of which it takes more than before. Of an instance that
    comes up again they are all that are exceeded: it stays down until its owner is within them."""
    found = []
    for name, (what, words) in _ITEMS.items():
        limit, had, has = getattr(quota, name), getattr(before, name), getattr(after, name)
        if limit is None or has <= limit + _ROUNDING or not (comes_up or has > had + _ROUNDING):
            continue
        used = f"{words(had)} of {words(limit)} {what} are used"
        more = f", and {words(has - had)} more is asked for" if has > had + _ROUNDING else ""
        found.append(used + more)
    return found
