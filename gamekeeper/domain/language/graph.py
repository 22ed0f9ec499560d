"""The graph of steps: its order and its cycles. Pure, without Temporal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

Needs = Mapping[str, Sequence[str]]


def find_cycle(needs: Needs) -> list[str] | None:
    """A cycle, as ``[a, b, a]`` in the order of running, from its first step in the file on; or None."""
    try:
        _sorter(needs).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1][:-1]
        order = {name: index for index, name in enumerate(needs)}
        first = cycle.index(min(cycle, key=order.__getitem__))
        return [*cycle[first:], *cycle[:first], cycle[first]]
    return None


def _sorter(needs: Needs) -> TopologicalSorter[str]:
    return TopologicalSorter({name: [need for need in given if need in needs] for name, given in needs.items()})


class Ancestors:
    """The steps that each step waits for, directly or not.

    They are kept as the bits of one number for each step, because a thousand steps that need hundreds each are a
    million ways and a million names. In a graph with a cycle every step waits for all.
    """

    def __init__(self, needs: Needs) -> None:
        self._names = list(dict.fromkeys([*needs, *(need for given in needs.values() for need in given)]))
        self._bits = {name: 1 << index for index, name in enumerate(self._names)}
        try:
            order = list(_sorter(needs).static_order())
        except CycleError:
            self._masks = dict.fromkeys(needs, (1 << len(self._names)) - 1)
            return
        self._masks = {}
        for name in order:
            self._masks[name] = self._above(needs[name])

    def _above(self, given: Sequence[str]) -> int:
        mask = 0
        for need in given:
            mask |= self._bits[need] | self._masks.get(need, 0)
        return mask

    def of(self, name: str) -> frozenset[str]:
        return frozenset(self._named(self._masks[name]))

    def _named(self, mask: int) -> list[str]:
        digits = bin(mask)[:1:-1]
        return [self._names[index] for index, digit in enumerate(digits) if digit == "1"]
