"""Finds the secret values of one container in what it writes, in all their usual forms at once (``forms``).

An automaton of the forms' first bytes goes over the text, and where it finds some, the longest form is looked for that
is there: an automaton of whole forms would take a hundred megabytes for one large value.

Values overlap, as one may be a part of another: all that any of them covers is masked, each run by one ``***``, whose
length tells nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Protocol

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from agent_worker.masking.forms import MIN_BYTES, forms_of

MASK = b"***"
HEAD_BYTES = 6
Span = tuple[int, int]


class Masker(Protocol):
    """``too_short`` values are not looked for."""

    @property
    def too_short(self) -> int: ...

    def spans(self, data: bytes) -> list[Span]:
        """The places to be masked, in their order; none overlaps another."""
        ...

    def tail(self, data: bytes) -> int:
        """The place from which the end of ``data`` may be the beginning of a value; its length where there is none."""
        ...


class ValueMasker:
    """Masker of known values. It compiles them at the first use, which takes some milliseconds."""

    def __init__(self, values: Collection[bytes]) -> None:
        self._values = frozenset(values)
        self.too_short = sum(len(value.strip()) < MIN_BYTES for value in self._values)

    def and_of(self, values: Collection[bytes]) -> ValueMasker:
        return self if self._values.issuperset(values) else ValueMasker(self._values.union(values))

    @cached_property
    def _forms(self) -> list[bytes]:
        return sorted(set().union(*map(forms_of, self._values)))

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._forms), default=0)

    @cached_property
    def _beginnings(self) -> frozenset[bytes]:
        """All beginnings of up to ``MIN_BYTES``: what most places of a text are not."""
        return frozenset(form[:size] for form in self._forms for size in range(1, MIN_BYTES + 1))

    @cached_property
    def _heads(self) -> dict[bytes, int]:
        """The heads, each with the length of the longest form that has it."""
        heads: dict[bytes, int] = {}
        for form in self._forms:
            head = form[:HEAD_BYTES]
            heads[head] = max(heads.get(head, 0), len(form))
        return heads

    @cached_property
    def _lengths(self) -> list[int]:
        return list(self._heads.values())

    @cached_property
    def _head_search(self) -> BytesAhoCorasick:
        return BytesAhoCorasick(self._heads, MatchKind.Standard, Implementation.DFA)

    @cached_property
    def _shorter(self) -> list[int]:
        """Of each form the place of the longest one that it begins with; -1 where there is none."""
        found: list[int] = []
        for place, form in enumerate(self._forms):
            shorter = place - 1
            while shorter >= 0 and not form.startswith(self._forms[shorter]):
                shorter = found[shorter]
            found.append(shorter)
        return found

    def spans(self, data: bytes) -> list[Span]:
        if not self._forms:
            return []
        found = []
        for head, begin, _ in self._head_search.find_matches_as_indexes(data, overlapping=True):
            if size := self._form_in(data[begin : begin + self._lengths[head]]):
                found.append((begin, begin + size))
        return united(found)

    def _form_in(self, text: bytes) -> int:
        """The length of the longest form that the text begins with; 0 where there is none. The form that is sorted next
        before the text begins with it."""
        place = bisect_right(self._forms, text) - 1
        while place >= 0 and not text.startswith(self._forms[place]):
            place = self._shorter[place]
        return len(self._forms[place]) if place >= 0 else 0

    def tail(self, data: bytes) -> int:
        """No form has a newline in it, and none is longer than the longest."""
        size = len(data)
        for at in range(max(data.rfind(b"\n") + 1, size - self._longest + 1), size):
            if data[at : at + MIN_BYTES] in self._beginnings and self._begins_form(data[at:]):
                return at
        return size

    def _begins_form(self, text: bytes) -> bool:
        """True for a part of a form: those that begin with a text stand behind it, where they are sorted."""
        place = bisect_right(self._forms, text)
        return place < len(self._forms) and self._forms[place].startswith(text)


class _Withheld:
    """Masker that masks every line as a whole."""

    too_short = 0
    _line = re.compile(rb"[^\r\n]+")

    def spans(self, data: bytes) -> list[Span]:
        return [found.span() for found in self._line.finditer(data)]

    def tail(self, data: bytes) -> int:
        return len(data)


WITHHELD: Masker = _Withheld()


def united(spans: Sequence[Span]) -> list[Span]:
    """The spans in their order, those that overlap as one."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin < found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def mask(masker: Masker | None, data: bytes) -> bytes:
    """The whole of a text, masked."""
    if masker is None or not (spans := masker.spans(data)):
        return data
    pieces, at = [], 0
    for begin, end in spans:
        pieces += [data[at:begin], MASK]
        at = end
    return b"".join([*pieces, data[at:]])


def mask_text(masker: Masker | None, text: str) -> str:
    return text if masker is None else mask(masker, text.encode(errors="replace")).decode(errors="replace")
