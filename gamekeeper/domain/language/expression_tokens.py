"""The words of an expression, as CEL's lexer tells them apart: texts, names, signs, and comments as spaces.

Where macros stand is seen by these alone. The grammar: github.com/google/cel-spec, doc/langdef.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_TEXT = (
    r"[bB]?[rR](?:\"\"\".*?\"\"\"|'''.*?'''|\"[^\"\n\r]*\"|'[^'\n\r]*')"
    r"|[bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|\"(?:\\.|[^\"\\\n\r])*\"|'(?:\\.|[^'\\\n\r])*')"
)
_TOKEN = re.compile(
    rf"(?P<comment>//[^\n]*)|(?P<text>{_TEXT})|(?P<name>[A-Za-z_]\w*)|(?P<number>\d\w*(?:\.\d\w*)?)|(?P<space>\s+)"
    r"|(?P<sign>.)",
    re.S,
)
_SIGNS = frozenset("+-*/%!<>=&|?:.,()[]{}")
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


class Token(NamedTuple):
    """``kind`` is text, name, number, space or sign."""

    kind: str
    text: str


Tokens = Sequence[Token]


def tokens_of(text: str) -> list[Token]:
    tokens = [Token(str(found.lastgroup), found.group()) for found in _TOKEN.finditer(text)]
    return [Token("space", " ") if token.kind in ("comment", "space") else token for token in tokens]


def strange_signs(text: str) -> list[tuple[int, str]]:
    """The characters that stand in no text and mean nothing to CEL, each with its place."""
    found = (sign for sign in _TOKEN.finditer(text) if sign.lastgroup == "sign")
    return [(sign.start(), sign.group()) for sign in found if sign.group() not in _SIGNS]


def text_at(tokens: Tokens, at: int) -> str:
    """Empty outside."""
    return tokens[at].text if 0 <= at < len(tokens) else ""


def following(tokens: Tokens, at: int) -> int:
    """The place of the next token that is no space; the end where there is none."""
    at += 1
    while at < len(tokens) and tokens[at].kind == "space":
        at += 1
    return at


def previous(tokens: Tokens, at: int) -> int:
    """The place of the token before that is no space; -1 where there is none."""
    at -= 1
    while at >= 0 and tokens[at].kind == "space":
        at -= 1
    return at


def call_places(tokens: Tokens, at: int) -> list[int]:
    """The opening bracket behind a name, the commas in it, and the closing bracket; none for no call."""
    places, depth = [following(tokens, at)], 0
    if tokens[at].kind != "name" or text_at(tokens, places[0]) != "(":
        return []
    for index in range(places[0], len(tokens)):
        sign = tokens[index].text if tokens[index].kind == "sign" else ""
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if depth == 0:
            return [*places, index]
        if sign == "," and depth == 1:
            places.append(index)
    return []


def openings(tokens: Tokens) -> dict[int, int]:
    """The place of the bracket that each closing one closes."""
    found: dict[int, int] = {}
    left: list[int] = []
    for at, token in enumerate(tokens):
        if token.kind == "sign" and token.text in _OPENING:
            left.append(at)
        elif token.kind == "sign" and token.text in _CLOSING and left:
            found[at] = left.pop()
    return found


def start_of(tokens: Tokens, end: int, opened: Mapping[int, int]) -> int:
    """The place where a value begins: a name, a text or brackets, with members, calls and indices behind it."""
    at = _without_brackets(tokens, end, opened)
    while True:
        dot = previous(tokens, at)
        if text_at(tokens, dot) == "?":  # of an optional member, as in a.?b
            dot = previous(tokens, dot)
        if text_at(tokens, dot) != ".":
            return at
        at = _without_brackets(tokens, previous(tokens, dot), opened)


def _without_brackets(tokens: Tokens, at: int, opened: Mapping[int, int]) -> int:
    while at in opened:
        before = previous(tokens, opened[at])
        has_owner = before in opened or text_at(tokens, before).isidentifier() or _is_text(tokens, before)
        if tokens[opened[at]].text == "{" or not has_owner or text_at(tokens, before) == "in":
            return opened[at]
        at = before
    return at


def _is_text(tokens: Tokens, at: int) -> bool:
    return at >= 0 and tokens[at].kind == "text"
