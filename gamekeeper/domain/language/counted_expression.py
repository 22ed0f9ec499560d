"""An expression with counters in it, so that what it costs is counted while CEL evaluates it (``metering.py``).

Each macro (``map``, ``filter``, ``all``, ``exists``, ``exists_one``) is given a first condition that counts its round,
each pattern passes one that counts what there is to compile, and what a macro goes through is put in order: CEL gives
the keys of a mapping in another order each time, and a replay would go another way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gamekeeper.domain.language.expression_tokens import (
    Token,
    Tokens,
    call_places,
    following,
    openings,
    previous,
    start_of,
    text_at,
    tokens_of,
)
from gamekeeper.errors import InvalidError

ROUND = "gk_round"
PATTERN = "gk_pattern"
ENTRIES = "gk_entries"
_OURS = frozenset({ROUND, PATTERN, ENTRIES})
MAX_NESTED = 12
_MACROS = frozenset({"map", "filter", "all", "exists", "exists_one", "existsOne"})
_MATCH = "matches"
_PLAIN_TEXT = re.compile(r"'[^'\\\n]*'|\"[^\"\\\n]*\"")


@dataclass
class Region:
    """A part of an expression in which nothing is repeated: all that stands in no macro, or in the body of one.

    ``reads`` are the members of the call's values that it names, as ("args", "map"), each as often as it does; ``own``
    are the variables of macros that it names. ``factor`` bounds how often all of it is copied, by the additions.
    """

    macro: str = ""
    variables: tuple[str, ...] = ()
    own: list[str] = field(default_factory=list)
    reads: list[tuple[str, str]] = field(default_factory=list)
    factor: int = 1
    inner: list[int] = field(default_factory=list)

    @property
    def passed(self) -> list[str]:
        """The variables that the counter is given."""
        return sorted(set(self.own))


class Counted(NamedTuple):
    """An expression that counts, and its regions; the first is the one in no macro."""

    text: str
    regions: Sequence[Region]


def with_counters(text: str, roots: frozenset[str]) -> Counted:
    """``roots`` are the names of the call's values. Raises InvalidError for an expression that names the counters, or
    whose macros are too deep in one another."""
    tokens = tokens_of(text)
    for token in tokens:
        if token.kind == "name" and token.text in _OURS:
            raise InvalidError(f'unknown function "{token.text}"')
    if any(token.text in _MACROS for token in tokens):
        tokens = _with_entries(tokens)
    reader = _Reader(tokens, roots)
    return Counted(reader.region(0, len(reader.tokens), 0), reader.regions)


def _with_entries(tokens: list[Token]) -> list[Token]:
    """The tokens, with ``gk_entries()`` around all that a macro goes through."""
    before, behind = [0] * len(tokens), [0] * len(tokens)
    opened = openings(tokens)
    for at in range(len(tokens)):
        if _is_macro(tokens, at):
            dot = previous(tokens, at)
            before[start_of(tokens, previous(tokens, dot), opened)] += 1
            behind[dot] += 1
    made: list[Token] = []
    for at, token in enumerate(tokens):
        made += [Token("sign", ")")] * behind[at]
        made += [Token("name", ENTRIES), Token("sign", "(")] * before[at]
        made.append(token)
    return made


def _is_macro(tokens: Tokens, at: int) -> bool:
    is_called = tokens[at].text in _MACROS and text_at(tokens, previous(tokens, at)) == "."
    return is_called and len(call_places(tokens, at)) > 2


class _Reader:
    def __init__(self, tokens: Tokens, roots: frozenset[str]) -> None:
        self.tokens = tokens
        self._roots = roots
        self.regions = [Region()]

    def region(self, start: int, end: int, number: int) -> str:
        """The text of the tokens between, with the counters that belong into it."""
        written: list[str] = []
        at = start
        while at < end:
            if _is_macro(self.tokens, at):
                places = call_places(self.tokens, at)
                written.append(self._macro(at, places, number))
                at = places[-1]
            elif self._is_match(at):
                opening, closing = call_places(self.tokens, at)
                written.append(f"{_MATCH}({PATTERN}({self.region(opening + 1, closing, number)})")
                at = closing
            else:
                self._note(at, self.regions[number])
                written.append(self.tokens[at].text)
                at += 1
        return "".join(written)

    def _is_match(self, at: int) -> bool:
        return self.tokens[at].text == _MATCH and len(call_places(self.tokens, at)) == 2

    def _macro(self, at: int, places: Sequence[int], number: int) -> str:
        opening, *commas, closing = places
        variable = "".join(token.text for token in self.tokens[opening + 1 : commas[0]]).strip()
        region = Region(self.tokens[at].text, (*self.regions[number].variables, variable))
        if len(region.variables) > MAX_NESTED:
            raise InvalidError(f"over {MAX_NESTED} macros stand in one another", hint="do it in a container")
        own = len(self.regions)
        self.regions[number].inner.append(own)
        self.regions.append(region)
        ends = [*commas[1:], closing]
        first, *others = [self.region(comma + 1, end, own) for comma, end in zip(commas, ends, strict=True)]
        counter = f"{ROUND}({', '.join([str(own), *region.passed])})"
        is_map = region.macro == "map" and not others
        bodies = [counter, first] if is_map else [f"{counter} && ({first})", *others]
        return f"{region.macro}({variable}, {', '.join(bodies)}"

    def _note(self, at: int, region: Region) -> None:
        token = self.tokens[at]
        region.factor += token == ("sign", "+")
        if token.kind != "name" or text_at(self.tokens, previous(self.tokens, at)) == ".":
            return
        if token.text in region.variables:
            region.own.append(token.text)
        elif token.text in self._roots:
            region.reads.append((token.text, self._member(at)))

    def _member(self, at: int) -> str:
        """The name behind a root, as in ``args.map`` and ``args["map"]``; empty where there is none."""
        opening = following(self.tokens, at)
        name = following(self.tokens, opening)
        sign, member = text_at(self.tokens, opening), text_at(self.tokens, name)
        if sign == "." and member.isidentifier():
            return member
        is_index = sign == "[" and text_at(self.tokens, following(self.tokens, name)) == "]"
        return member[1:-1] if is_index and _PLAIN_TEXT.fullmatch(member) else ""
