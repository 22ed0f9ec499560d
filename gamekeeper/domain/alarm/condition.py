"""Conditions of alarm rules: ``node.status == offline and node.mode != disabled``. Parsed, checked and evaluated.

A small language on purpose: every word is checked against the signals that there are, a mistake is told with its
column, and ten thousand of them are evaluated in a fraction of a second.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gamekeeper.domain.alarm.signal import SIGNALS, Signal, Unit
from gamekeeper.domain.alarm.subject import Facts
from gamekeeper.domain.language.problem import did_you_mean
from gamekeeper.domain.language.units import parse_bytes, parse_duration

MAX_LENGTH = 500
MAX_CLAUSES = 8
MAX_WORDS = 32
_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z0-9_.]+)|(?P<sign>==|!=|<=|>=|<|>|\(|\)|,)|(?P<odd>\S))")
_NUMBER_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class ConditionError(ValueError):
    """A condition that can't be read; ``column`` counts from 1."""

    def __init__(self, column: int, message: str, hint: str = "") -> None:
        super().__init__(f"column {column}: {message}" + (f"; {hint}" if hint else ""))
        self.column = column


@dataclass(frozen=True)
class Verdict:
    """``holds`` is None where there is no data. ``found`` are the values of a signal that has several, each an alarm
    of its own; else one empty word."""

    holds: bool | None
    found: tuple[str, ...] = ("",)


_NO = Verdict(False, ())


@dataclass(frozen=True)
class Clause:
    """``words`` for signals of words, ``number`` for all others."""

    signal: Signal
    sign: str
    words: frozenset[str] = frozenset()
    number: float = 0.0

    def judge(self, facts: Facts) -> Verdict:
        value = facts.values.get(self.signal.name)
        if value is None or facts.is_away:
            return Verdict(None, ())
        if isinstance(value, frozenset):
            found = value - self.words if self.sign == "!=" else value & self.words
            return Verdict(True, tuple(sorted(found))) if found else _NO
        if isinstance(value, str):
            return Verdict(True) if (value in self.words) == (self.sign == "==") else _NO
        return Verdict(True) if _NUMBER_SIGNS[self.sign](value, self.number) else _NO


@dataclass(frozen=True)
class Condition:
    """Holds when all of its clauses do."""

    text: str
    clauses: tuple[Clause, ...]

    @property
    def subject(self) -> str:
        return self.clauses[0].signal.subject

    def names(self, signal: str) -> bool:
        return any(clause.signal.name == signal for clause in self.clauses)

    def judge(self, facts: Facts) -> Verdict:
        """One clause that is false decides, whatever is not known."""
        verdicts = [clause.judge(facts) for clause in self.clauses]
        if any(verdict.holds is False for verdict in verdicts):
            return _NO
        if any(verdict.holds is None for verdict in verdicts):
            return Verdict(None, ())
        return next((verdict for verdict in verdicts if verdict.found != ("",)), verdicts[0])


@dataclass(frozen=True)
class _Token:
    text: str
    column: int
    is_word: bool


def parse_condition(text: str) -> Condition:
    """Raises ConditionError that names the column and what could have stood there."""
    if len(text) > MAX_LENGTH:
        raise ConditionError(MAX_LENGTH + 1, f"a condition has {MAX_LENGTH} characters at most")
    reader = _Reader(text)
    clauses = [reader.clause()]
    while (token := reader.next()) is not None:
        if token.text != "and":
            hint = 'rules have no "or": make a second one' if token.text == "or" else 'clauses are joined by "and"'
            raise ConditionError(token.column, f'"{token.text}" can\'t stand here', hint)
        begin = reader.column
        clauses.append(reader.clause())
        if clauses[-1].signal.subject != clauses[0].signal.subject:
            raise ConditionError(
                begin, "all signals of a rule belong to one kind of object", f"here: {clauses[0].signal.subject}"
            )
        if len(clauses) > MAX_CLAUSES:
            raise ConditionError(begin, f"a condition has {MAX_CLAUSES} clauses at most")
    if sum(clause.signal.many for clause in clauses) > 1:
        raise ConditionError(1, "one signal with several values is enough for a rule", "make a second rule")
    return Condition(text, tuple(clauses))


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[_Token] = []
        self._end = len(text) + 1
        self._at = 0
        for match in _TOKEN.finditer(text):
            kind = match.lastgroup or "odd"
            column = match.start(kind) + 1
            if kind == "odd":
                raise ConditionError(column, f'"{match.group(kind)}" is no part of a condition')
            self._tokens.append(_Token(match.group(kind), column, kind == "word"))

    @property
    def column(self) -> int:
        return self._tokens[self._at].column if self._at < len(self._tokens) else self._end

    def next(self) -> _Token | None:
        self._at += 1
        return self._tokens[self._at - 1] if self._at <= len(self._tokens) else None

    def _word(self, what: str) -> _Token:
        token = self.next()
        if token is None or not token.is_word:
            column, found = (self._end, "the end") if token is None else (token.column, f'"{token.text}"')
            raise ConditionError(column, f"{what} is missing before {found}")
        return token

    def clause(self) -> Clause:
        name = self._word("a signal")
        signal = SIGNALS.get(name.text)
        if signal is None:
            near = [known for known in SIGNALS if known.startswith(name.text.partition(".")[0] + ".")]
            hint = did_you_mean(name.text, near or SIGNALS) or "docs/alarms.md lists all signals"
            raise ConditionError(name.column, f'there is no signal "{name.text}"', hint)
        sign = self.next()
        known = (*_NUMBER_SIGNS, "in")
        if sign is None or sign.text not in known:
            column, found = (self._end, "the end") if sign is None else (sign.column, f'"{sign.text}"')
            raise ConditionError(column, f"{found} is no comparison", f"one of {' '.join(known)}")
        return self._of_words(signal, sign) if signal.unit is Unit.WORD else self._of_number(signal, sign)

    def _of_words(self, signal: Signal, sign: _Token) -> Clause:
        if sign.text not in ("==", "!=", "in"):
            raise ConditionError(sign.column, f"{signal.name} is a word, which is no more and no less", "== != in")
        if sign.text != "in":
            return Clause(signal, sign.text, frozenset({self._value(signal)}))
        self._sign("(")
        words = {self._value(signal)}
        while (token := self.next()) is not None and token.text == ",":
            words.add(self._value(signal))
        if token is None or token.text != ")" or len(words) > MAX_WORDS:
            raise ConditionError(self._end if token is None else token.column, 'a list ends with ")"')
        return Clause(signal, "==", frozenset(words))

    def _sign(self, wanted: str) -> None:
        token = self.next()
        if token is None or token.text != wanted:
            raise ConditionError(self._end if token is None else token.column, f'"{wanted}" is missing')

    def _value(self, signal: Signal) -> str:
        token = self._word(f"a value of {signal.name}")
        if token.text not in signal.words:
            hint = did_you_mean(token.text, signal.words) or f"one of {', '.join(signal.words)}"
            raise ConditionError(token.column, f'{signal.name} is never "{token.text}"', hint)
        return str(token.text)

    def _of_number(self, signal: Signal, sign: _Token) -> Clause:
        if sign.text == "in":
            raise ConditionError(sign.column, f"{signal.name} is a {signal.unit}", "compare it: < <= > >=")
        token = self._word(f"a {signal.unit}")
        try:
            return Clause(signal, sign.text, number=_number(signal.unit, token.text))
        except ValueError as error:
            raise ConditionError(token.column, str(error)) from None


def _number(unit: Unit, text: str) -> float:
    if unit is Unit.SECONDS:
        return parse_duration(text).total_seconds()
    if unit is Unit.BYTES:
        return float(parse_bytes(text))
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,6})?", text):
        raise ValueError(f'"{text}" is no number')
    return float(text)
