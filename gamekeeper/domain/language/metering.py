"""The cost of an expression, counted while it is evaluated.

CEL always ends, but not soon: ``range(256)`` four times in itself is four billion rounds, and thirty times
``.map(v, v+v)`` is all of the memory. Nothing can stop CEL's engine from outside, and where workflows evaluate, a limit
of time would make replays differ. So the expression itself counts (``counted_expression.py``): its rounds, the values
that are read in them, the lists that grow. What is counted depends on the expression and its values alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamekeeper.domain.language.counted_expression import Region
from gamekeeper.errors import InvalidError

TOO_MUCH = "does too much; do it in a container, or with less data"
EXPRESSION_UNITS = 200_000
TOTAL_UNITS = 1_000_000
_EVALUATION_UNITS = 16
_ROUND_UNITS = 4
_GROWING = frozenset({"map", "filter"})  # CEL copies the list of results for each that it adds
_ADDED_PER_UNIT = 8
_BYTES_PER_UNIT = 256
_PATTERN_UNITS, _MAX_PATTERN_UNITS = 50, 50_000  # it is compiled anew for each text; too large a one is refused
_REPEATED = re.compile(r"\{(\d{1,9})(?:,(\d{0,9}))?\}")
_WIDE = re.compile(r"\\[wdspPWDS]|\[\^|\.|\(\?[a-z]*i|[^\x00-\x7f]")  # each is a set of thousands of characters
_WIDE_UNITS = 100


@dataclass
class Budget:
    """Units that are left, each about a microsecond. Expressions of one pipeline, or of one run, share one."""

    left: int = TOTAL_UNITS


class Meter:
    """Counts one evaluation. CEL keeps the error of a counter to itself where ``||`` has an answer without it, so
    ``refuse_excess`` is called in the end."""

    def __init__(self, regions: Sequence[Region], values: Mapping[str, Mapping[str, Any]], budget: Budget) -> None:
        self._regions = regions
        self._values = values
        self._budget = budget
        self._left = min(EXPRESSION_UNITS, budget.left)
        self._rounds = [0] * len(regions)
        self._sizes: dict[tuple[str, str], int] = {}

    def begin(self) -> None:
        """Counts what stands in no macro. Raises InvalidError."""
        self.spend(_EVALUATION_UNITS)
        self._enter(0, ())

    @property
    def is_over(self) -> bool:
        return self._left < 0

    def refuse_excess(self) -> None:
        """Raises InvalidError for an expression that did too much, whatever its value is."""
        if self.is_over:
            raise InvalidError(f"it {TOO_MUCH}")

    def spend(self, units: int) -> None:
        """Raises InvalidError where it is too much."""
        taken = min(units, self._left + 1)
        self._left -= taken
        self._budget.left -= taken
        self.refuse_excess()

    def round(self, number: int, *own: Any) -> bool:
        """The first condition of a macro: true, or InvalidError."""
        region = self._regions[number]
        if region.macro in _GROWING:
            self.spend(self._rounds[number] // _ADDED_PER_UNIT)
        self._rounds[number] += 1
        self._enter(number, own)
        return True

    def pattern(self, text: Any) -> Any:
        """The pattern itself. It is counted by how much there is to compile."""
        if isinstance(text, str):
            times = math.prod(int(most or least) or 1 for least, most in _REPEATED.findall(text))
            wide = _WIDE_UNITS * len(_WIDE.findall(text))
            self.spend(min(_MAX_PATTERN_UNITS, _PATTERN_UNITS + times * (len(text) // 10 + wide)))
        return text

    def entries(self, value: Any) -> Any:
        """The values that a macro goes through: of a mapping its keys, in their order."""
        self.spend(size(value))
        return sorted(value, key=_order) if isinstance(value, Mapping) else value

    def _enter(self, number: int, own: Sequence[Any]) -> None:
        region = self._regions[number]
        for inner in region.inner:
            self._rounds[inner] = 0
        sizes = dict(zip(region.passed, map(size, own), strict=True)) if own else {}
        read = sum(self._size_of(read) for read in region.reads) + sum(sizes[name] for name in region.own if own)
        self.spend(_ROUND_UNITS + read * region.factor)

    def _size_of(self, read: tuple[str, str]) -> int:
        if read not in self._sizes:
            root, member = read
            values = self._values.get(root, {})
            self._sizes[read] = size(values[member] if member in values else values)
        return self._sizes[read]


def _order(key: Any) -> tuple[str, str]:
    return (type(key).__name__, f"{key:020d}" if isinstance(key, int) else str(key))


def size(value: Any) -> int:
    """The units of a value: one for each that is in it, and one for each 256 characters of text."""
    total, left = 0, [value]
    while left:
        item = left.pop()
        total += 1
        if isinstance(item, str | bytes):
            total += len(item) // _BYTES_PER_UNIT
        elif isinstance(item, Mapping):
            left += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            left += item
    return total
