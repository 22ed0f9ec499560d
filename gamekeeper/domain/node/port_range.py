"""The numbers of a node's ports: its range of free ones, and the choice of numbers for an instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from gamekeeper.domain.language.given_port import PortWish

HIGHEST = 65_535
PortNumber = tuple[str, int]  # protocol, number


@dataclass(frozen=True)
class PortRange:
    first: int = 20_000
    last: int = 29_999

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __len__(self) -> int:
        return max(0, self.last - self.first + 1)

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last


NODE_RANGE = PortRange()  # below the ports that Linux gives to connections, 32768 and on


@dataclass(frozen=True)
class NoPorts:
    """A wish that can't be met, in words."""

    why: str


def choose_ports(
    wishes: Sequence[PortWish],
    numbers: PortRange,
    taken: Mapping[PortNumber, str],
    own: Mapping[PortNumber, str] | None = None,
    shunned: Set[PortNumber] = frozenset(),
) -> dict[str, int] | NoPorts:
    """The first number of each wish by its key: the one that it has, where that still fits, or else the lowest that is
    free. ``taken`` names the holder of each number; ``own`` are those of the asking one, with the keys of theirs.
    ``shunned`` are probably in use by others who do not hold them: no free one is of them."""
    held, given, kept = dict(taken), dict[str, int](), _kept(own or {})
    not_free = {*(own or {}), *shunned}
    for wish in sorted(wishes, key=lambda wish: _order(wish, kept)):
        first = _choose(wish, numbers, held, not_free, kept.get(wish.key))
        if isinstance(first, NoPorts):
            return first
        given[wish.key] = first
        held.update(((protocol, number), "") for protocol in wish.protocols for number in _block(first, wish))
    return {wish.key: given[wish.key] for wish in wishes}


def _kept(own: Mapping[PortNumber, str]) -> dict[str, int]:
    """The first number of each key."""
    return {key: number for (_, number), key in sorted(own.items(), key=lambda item: item[0][1], reverse=True)}


def _order(wish: PortWish, kept: Mapping[str, int]) -> tuple[bool, bool]:
    """Fixed numbers come first, then those that are kept: no free one takes theirs."""
    return wish.number is None, wish.key not in kept


def _choose(
    wish: PortWish,
    numbers: PortRange,
    taken: Mapping[PortNumber, str],
    not_free: Set[PortNumber],
    kept: int | None,
) -> int | NoPorts:
    """No free one is of another key's: the revision before may come back, and needs it."""
    bounds = PortRange(max(1, wish.within[0]), wish.within[1]) if wish.within is not None else numbers
    if wish.number is not None:
        return _why_taken(wish, wish.number, taken) or wish.number
    if kept is not None and _fits(kept, wish, bounds) and _why_taken(wish, kept, taken) is None:
        return kept
    found = first_free(
        bounds,
        wish.count,
        lambda number: not any((name, number) in taken or (name, number) in not_free for name in wish.protocols),
    )
    if found is not None:
        return found
    what = "no port" if wish.count == 1 else f"no {wish.count} ports in a row"
    return NoPorts(f"{what} of {bounds}/{'+'.join(wish.protocols)} {'is' if wish.count == 1 else 'are'} free")


def first_free(bounds: PortRange, count: int, is_free: Callable[[int], bool]) -> int | None:
    """The beginning of the lowest ``count`` free numbers in a row."""
    row = 0
    for number in range(bounds.first, min(bounds.last, HIGHEST) + 1):
        row = row + 1 if is_free(number) else 0
        if row == count:
            return number - count + 1
    return None


def _fits(first: int, wish: PortWish, bounds: PortRange) -> bool:
    return first in bounds and first + wish.count - 1 in bounds


def _block(first: int, wish: PortWish) -> range:
    return range(first, first + wish.count)


def _why_taken(wish: PortWish, first: int, taken: Mapping[PortNumber, str]) -> NoPorts | None:
    for number in _block(first, wish):
        for protocol in wish.protocols:
            holder = taken.get((protocol, number))
            if holder is not None:
                by = f"taken by {holder}" if holder else "asked for twice"
                return NoPorts(f"port {number}/{protocol} is {by}")
    return None
